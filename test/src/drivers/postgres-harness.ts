import { readFile } from 'node:fs/promises'
import { Client, Pool } from 'pg'
import { postgresDriver } from '../../../src/drivers/postgres.js'
import type { PostgresDriverOptions } from '../../../src/drivers/postgres.js'
import { countListeners, tcpLink, until } from '../../../src/testing/index.js'
import type { DriverHarness, Link } from '../../../src/testing/index.js'
import { RUNNING_POSTGRES, startPostgres } from '../../brokers/postgres.js'
import type { PostgresServer } from '../../brokers/postgres.js'

/** What a dead link costs: noticed within a second instead of three. */
export const QUICK = { pingInterval: 200, pingTimeout: 700 }
export const LIMITS = { ...QUICK, connectTimeout: 2_500, subscribeTimeout: 2_500 }

/** A payload of PostgreSQL is text, so bytes travel as base64. */
const BYTES: PostgresDriverOptions = {
  ...LIMITS,
  payload: ({ payload }) => Buffer.from(payload, 'base64'),
}

/** PostgreSQL takes payloads below 8,000 bytes: so many are 7,996 letters of base64. */
const MAX_PAYLOAD = 5_997

/** What the tests share: one server, a link to it, and an admin past that link. */
export class PostgresFixture {
  server: PostgresServer | undefined
  #link: Link | undefined
  #admin: Pool | undefined
  #url: URL | undefined

  async start(): Promise<void> {
    if (!RUNNING_POSTGRES) this.server = await startPostgres()
    const url = new URL(RUNNING_POSTGRES ?? (this.server as PostgresServer).adminUrl)
    this.#link = await tcpLink(Number(url.port || 5432), url.hostname)
    this.#admin = adminPool(url.href)
    this.#url = url
    if (this.server) await this.#makeUser()
    this.#url.host = `127.0.0.1:${this.#link.port}`
  }

  async stop(): Promise<void> {
    await this.#admin?.end()
    await this.#link?.close()
    await this.server?.stop()
  }

  get link(): Link {
    if (!this.#link) throw new Error('The fixture has not been started.')
    return this.#link
  }

  /** The server's address by way of the link, for the user that the docs tell to make. */
  get url(): string {
    return (this.#url as URL).href
  }

  /** That address with other parts. */
  urlWith(parts: Partial<Pick<URL, 'username' | 'password' | 'pathname' | 'host'>>): string {
    return Object.assign(new URL(this.url), parts).href
  }

  async query(sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    const { rows } = await (this.#admin as Pool).query(sql, values)
    return rows as Record<string, unknown>[]
  }

  async notify(channel: string, payload: string): Promise<void> {
    await this.query('SELECT pg_notify($1, $2)', [channel, payload])
  }

  /** The processes that serve the drivers' connections. */
  async connections(): Promise<number[]> {
    const { username } = this.#url as URL
    const sql = 'SELECT pid FROM pg_stat_activity WHERE usename = $1 AND application_name = $2'
    return (await this.query(sql, [username, 'unifrost'])).map(({ pid }) => Number(pid))
  }

  /** Kills the server and starts it again; settles when it takes queries. */
  async restart(): Promise<void> {
    const server = this.server as PostgresServer
    await server.kill()
    await server.start()
    const answers = () => this.query('SELECT 1').catch(() => undefined)
    await until('PostgreSQL answers', answers, 20_000)
  }

  async #makeUser(): Promise<void> {
    const page = await readFile('docs/drivers/postgres.md', 'utf8')
    const [role = ''] = /^CREATE ROLE unifrost .*;$/m.exec(page) ?? []
    const [grant = ''] = /^GRANT CONNECT .* TO unifrost;$/m.exec(page) ?? []
    await this.query('CREATE DATABASE app')
    await this.query('REVOKE CONNECT ON DATABASE app FROM PUBLIC')
    await this.query(role)
    await this.query(grant)
    // Notifications stay within a database.
    await this.#admin?.end()
    const url = new URL((this.server as PostgresServer).adminUrl)
    url.pathname = '/app'
    this.#admin = adminPool(url.href)
    this.#url = Object.assign(url, { username: 'unifrost', password: 'secret' })
  }
}

/** Connections to publish and to look around with, in bounded time: a frozen server does not answer. */
function adminPool(connectionString: string): Pool {
  const limits = { max: 3, connectionTimeoutMillis: 5_000, query_timeout: 5_000 }
  const pool = new Pool({ connectionString, ...limits })
  // A connection that breaks while it is idle. The next query makes another.
  pool.on('error', () => undefined)
  return pool
}

/** The contract's harness. */
export function postgresHarness(fixture: PostgresFixture): {
  harness: DriverHarness
  end(): Promise<void>
} {
  const server = () => fixture.server as PostgresServer
  const running = 'the server was running already and is not ours to break'
  const deniedTopic = 'PostgreSQL knows no permissions for channels'
  const subscriptions = 'PostgreSQL tells the channels of a session to that session only'

  const harness: DriverHarness = {
    bound: 20_000,
    create: () => postgresDriver(fixture.url, BYTES),
    publish: (topic, payload) => fixture.notify(topic, Buffer.from(payload).toString('base64')),
    publisher() {
      const { publish, close } = postgresDriver(fixture.url)
      const encoded = (payload: string | Uint8Array) =>
        Buffer.from(payload as string).toString('base64')
      return { publish: (topic, payload) => publish!(topic, encoded(payload)), close }
    },
    maxPayload: MAX_PAYLOAD,
    badTopics: ['', 'a\0b', '\ud800', 'a\udc00b', 'x'.repeat(64), 'é'.repeat(32)],
    cut: () => fixture.link.cut(),
    stall: () => fixture.link.stall(),
    refuse: () => fixture.link.refuse(),
    unreachable: (address) => postgresDriver(`postgres://${address}/app`, BYTES),
    badLogin() {
      const address = `127.0.0.1:${fixture.link.port}`
      const secret = 'wrong-password'
      return {
        driver: postgresDriver(fixture.urlWith({ password: secret }), BYTES),
        address,
        secret,
      }
    },
    async brought() {
      const client = new Client(fixture.url)
      await client.connect()
      return {
        driver: () => postgresDriver(client, BYTES),
        listeners: () => countListeners(client),
        check: async () => void (await client.query('SELECT 1')),
        end: () => client.end(),
      }
    },
    without: { deniedTopic, subscriptions },
    ...(RUNNING_POSTGRES
      ? {
          without: {
            ...{ deniedTopic, subscriptions },
            ...{ restart: running, freeze: running, leftovers: running },
          },
        }
      : {
          restart: () => fixture.restart(),
          async freeze() {
            await server().freeze()
            return () => server().thaw()
          },
          leftovers: async () => (await fixture.connections()).length,
        }),
  }
  return {
    harness,
    async end() {
      if (!fixture.server) return
      const isAlone = async () => (await fixture.connections()).length === 0
      await until('the server to be alone', isAlone)
    },
  }
}
