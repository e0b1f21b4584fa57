import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requireCommand } from './apt.js'
import { buildWithGo } from './go.js'
import { BrokerProcess, freePort } from './process.js'

/** A NATS server that is running already and is used instead of one of ours. */
export const RUNNING_NATS = process.env['UNIFROST_TEST_NATS']

/** The same for one with JetStream. */
export const RUNNING_JETSTREAM = process.env['UNIFROST_TEST_JETSTREAM']

/** The subjects that a connection without credentials may not subscribe to. */
export const DENIED = 'denied.>'

/** Who may do everything. */
export const ADMIN = { user: 'admin', pass: 'admin-secret' }

/** A NATS server of ours, on a port of its own. */
export interface NatsServer {
  readonly port: number
  /** Where it answers questions about itself over HTTP. */
  readonly monitor: number
  readonly url: string
  readonly process: BrokerProcess
  /**
   * Counts connections and their subscriptions, without the admin's. `requests` are those of the
   * subscriptions that a library keeps for the answers to all requests of a connection.
   */
  open(): Promise<{ connections: number; subscriptions: number; requests: number }>
  /** Withdraws the permission to read a subject while connections are open. */
  deny(subject: string): Promise<void>
  /** Changes who else there is, each as the configuration has it, while connections are open. */
  users(users: string): Promise<void>
  stop(): Promise<void>
}

export interface NatsServerOptions {
  /** Default: one that is free. */
  port?: number
  /** More lines for its configuration. */
  config?: string
  /** Whether it keeps streams, in a folder of its own that goes with it. Default: no. */
  jetstream?: boolean
  /** Whether it is the latest release that was tried, and not Debian's. Default: no. */
  current?: boolean
  /** More users, each as the configuration has it. */
  users?: string
}

/**
 * Starts a NATS server. Who has no credentials is a user that may not read {@link DENIED}.
 */
export async function startNats(options: NatsServerOptions = {}): Promise<NatsServer> {
  const command = await (options.current ? currentServer() : debianServer())
  const port = options.port ?? (await freePort())
  const monitor = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'unifrost-nats-'))
  const file = join(folder, 'nats.conf')
  const configure = (denied: string, users = options.users) =>
    writeFile(
      file,
      `
      host: 127.0.0.1
      port: ${port}
      http: "127.0.0.1:${monitor}"
      no_auth_user: anyone
      authorization {
        users: [
          { user: anyone, password: anyone, permissions: { subscribe: { deny: "${denied}" } } }
          { user: ${ADMIN.user}, password: ${ADMIN.pass} }
          ${users ?? ''}
        ]
      }
      ${options.jetstream ? `jetstream { store_dir: "${join(folder, 'store')}" }` : ''}
      ${options.config ?? ''}
      `,
    )
  await configure(DENIED)
  const broker = await BrokerProcess.start({ command, args: ['-c', file], port })
  return {
    port,
    monitor,
    url: `nats://127.0.0.1:${port}`,
    process: broker,
    open: () => countOpen(monitor),
    async deny(subject) {
      await configure(subject)
      broker.reload()
    },
    async users(users) {
      await configure(DENIED, users)
      broker.reload()
    },
    async stop() {
      await broker.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** What Debian 12 has, which is of 2023: NATS 2.9. */
function debianServer(): Promise<string> {
  const instead = 'start one and set UNIFROST_TEST_NATS=nats://host:port'
  return requireCommand('nats-server', 'nats-server', instead)
}

const CURRENT = 'v2.15.2'

function currentServer(): Promise<string> {
  return buildWithGo({
    name: 'nats-server',
    version: CURRENT,
    args: () => ['install', '-trimpath', `github.com/nats-io/nats-server/v2@${CURRENT}`],
    instead: 'leave them out',
  })
}

interface Connz {
  connections: {
    subscriptions: number
    subscriptions_list?: string[]
    authorized_user?: string
  }[]
}

async function countOpen(monitor: number) {
  const text = await new Promise<string>((resolve, reject) => {
    const url = `http://127.0.0.1:${monitor}/connz?auth=1&subs=1&limit=10000`
    const request = get(url, { agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (body += chunk))
      response.on('end', () => resolve(body))
      response.on('error', reject)
    })
    request.on('error', reject)
  })
  const { connections } = JSON.parse(text) as Connz
  const others = connections.filter(({ authorized_user: user }) => user !== ADMIN.user)
  return {
    connections: others.length,
    subscriptions: others.reduce((sum, { subscriptions }) => sum + subscriptions, 0),
    requests: others
      .flatMap(({ subscriptions_list: subjects = [] }) => subjects)
      .filter((subject) => /^_INBOX\.[^.]+\.\*$/.test(subject)).length,
  }
}
