import { readFile } from 'node:fs/promises'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { redisDriver } from '../../../src/drivers/redis.js'
import type { RedisDriverOptions, RedisLibrary, RedisTarget } from '../../../src/drivers/redis.js'
import { countListeners, tcpLink, until } from '../../../src/testing/index.js'
import type { DriverHarness, Emitter, Link } from '../../../src/testing/index.js'
import { ADMIN, adminClient, DENIED, RUNNING_REDIS, startRedis } from '../../brokers/redis.js'
import type { AdminClient, RedisServer } from '../../brokers/redis.js'

/** Both libraries, by the name they are installed under. */
export const libraries: readonly RedisLibrary[] = ['redis', 'ioredis']

/** What a dead link costs: noticed within a second instead of three. */
export const QUICK = { pingInterval: 200, pingTimeout: 700 }
export const LIMITS = { ...QUICK, connectTimeout: 2_500, subscribeTimeout: 2_500 }

/** What the drivers are made of: a URL, or a client that somebody brought. */
export type Source = 'url' | 'client'
export const sources: readonly Source[] = ['url', 'client']

/** A client of the user's, and how they end it. */
export interface OwnClient {
  target: RedisTarget & Emitter
  ping(): Promise<unknown>
  end(): Promise<void>
}

/** A client of one library, connected as its user would connect it. */
export async function ownClient(library: RedisLibrary, url: string): Promise<OwnClient> {
  const client = newClient(library, url)
  client.on('error', () => undefined)
  await client.connect()
  if (client instanceof Redis) {
    return { target: client, ping: () => client.ping(), end: async () => client.disconnect() }
  }
  return { target: client, ping: () => client.ping(), end: async () => client.destroy() }
}

function newClient(library: RedisLibrary, url: string) {
  return library === 'redis'
    ? createClient({ url, socket: { reconnectStrategy: 50 } })
    : new Redis(url, {
        lazyConnect: true,
        retryStrategy: () => 50,
        disconnectTimeout: 1,
        // It would ask for INFO, which the user of these tests may not.
        enableReadyCheck: false,
      })
}

/** What the tests share: one server, a link to it, and an admin past that link. */
export class RedisFixture {
  server: RedisServer | undefined
  #link: Link | undefined
  #admin: AdminClient | undefined

  async start(config = ''): Promise<void> {
    if (!RUNNING_REDIS) this.server = await startRedis({ config })
    const url = RUNNING_REDIS ?? (this.server as RedisServer).adminUrl
    const { hostname, port } = new URL(url)
    this.#link = await tcpLink(Number(port || 6379), hostname)
    this.#admin = adminClient(url)
    await this.#admin.connect()
  }

  async stop(): Promise<void> {
    this.#admin?.destroy()
    await this.#link?.close()
    await this.server?.stop()
  }

  /** Kills the server and starts it again; settles when it has loaded what it keeps. */
  async restart(): Promise<void> {
    await (this.server as RedisServer).process.restart()
    const answers = () => this.command('PING').catch(() => undefined)
    await until('Redis answers', answers, 20_000)
  }

  get link(): Link {
    if (!this.#link) throw new Error('The fixture has not been started.')
    return this.#link
  }

  get admin(): AdminClient {
    if (!this.#admin) throw new Error('The fixture has not been started.')
    return this.#admin
  }

  /** The server's address by way of the link. */
  get url(): string {
    const url = new URL(RUNNING_REDIS ?? 'redis://127.0.0.1')
    url.hostname = '127.0.0.1'
    url.port = String(this.link.port)
    return url.href
  }

  /** Sends a command as the admin, in bounded time: a frozen server does not answer. */
  async command(...args: (string | Buffer)[]): Promise<unknown> {
    const sending = this.admin.sendCommand(args)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`No answer to ${String(args[0])}.`)), 5_000)
    })
    try {
      return await Promise.race([sending, late])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Makes the user that a page of the docs tells to make, and gives the URL for it. */
  async documentedUser(page: string): Promise<string> {
    const text = await readFile(page, 'utf8')
    const [line = '', user = ''] = /^ACL SETUSER (\w+) .*>secret.*$/m.exec(text) ?? []
    await this.command(...line.split(' '))
    return this.url.replace('://', `://${user}:secret@`)
  }

  /** The connections that are not the admin's, as CLIENT LIST tells of them. */
  async connections(): Promise<Record<string, string>[]> {
    const list = String(await this.command('CLIENT', 'LIST'))
    return list
      .trim()
      .split('\n')
      .map((line) => Object.fromEntries(line.split(' ').map((pair) => pair.split(/=(.*)/s))))
      .filter(({ user }) => user !== ADMIN.username)
  }
}

/** What a driver of either kind is made with. */
export interface Making {
  make(target: RedisTarget, options: Pick<RedisDriverOptions, 'library'>): Made
  publish(topic: string, payload: Uint8Array): Promise<void>
}
type Made = ReturnType<typeof redisDriver>

/** The contract's harness for one library and one way of getting a connection. */
export function redisHarness(
  fixture: RedisFixture,
  library: RedisLibrary,
  source: Source,
  { make, publish }: Making = pubSub(fixture),
): { harness: DriverHarness; end(): Promise<void> } {
  const server = () => fixture.server as RedisServer
  const running = 'the server was running already and is not ours to break'

  const harness: DriverHarness = {
    bound: 20_000,
    create: () =>
      source === 'client'
        ? // Not connected, so that what is counted on the server is the driver's alone.
          make(newClient(library, fixture.url), {})
        : make(fixture.url, { library }),
    publish,
    publisher: () => make(RUNNING_REDIS ?? server().adminUrl, { library }),
    special: { internal: ['__keyspace@0__:x', '__sentinel__:hello', 'unifrost:server:a'] },
    badTopics: ['', '\ud800', 'a\udc00b'],
    cut: () => fixture.link.cut(),
    stall: () => fixture.link.stall(),
    refuse: () => fixture.link.refuse(),
    unreachable: (address) => make(`redis://${address}`, { library }),
    badLogin() {
      const address = `127.0.0.1:${fixture.link.port}`
      const secret = 'wrong-password'
      return { driver: make(`redis://nobody:${secret}@${address}`, { library }), address, secret }
    },
    async brought() {
      const client = await ownClient(library, fixture.url)
      return {
        driver: () => make(client.target, {}),
        listeners: () => countListeners(client.target),
        check: async () => void (await client.ping()),
        end: () => client.end(),
      }
    },
    without: {},
    ...(RUNNING_REDIS
      ? {
          without: {
            restart: running,
            freeze: running,
            leftovers: running,
            subscriptions: running,
            deniedTopic: running,
          },
        }
      : {
          restart: () => fixture.restart(),
          async freeze() {
            await server().process.freeze()
            return async () => server().process.thaw()
          },
          async leftovers() {
            const open = await fixture.connections()
            return open.reduce((sum, { sub }) => sum + Number(sub), open.length)
          },
          async subscriptions() {
            const open = await fixture.connections()
            return open.reduce((sum, { sub }) => sum + Number(sub), 0)
          },
          deniedTopic: `${DENIED}.topic`,
        }),
  }
  return {
    harness,
    async end() {
      if (!fixture.server) return
      await until('the server to be alone', async () => (await fixture.connections()).length === 0)
    },
  }
}

function pubSub(fixture: RedisFixture): Making {
  return {
    make: (target, options) => redisDriver(target, { ...LIMITS, ...options }),
    async publish(topic, payload) {
      await fixture.command('PUBLISH', topic, Buffer.from(payload))
    },
  }
}
