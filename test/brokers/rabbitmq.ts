import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findCommand, requireCommand } from './apt.js'
import { BrokerProcess, freePort } from './process.js'

/** A RabbitMQ that is running already and is used instead of one of ours. */
export const RUNNING_RABBITMQ = process.env['UNIFROST_TEST_RABBITMQ']

/** Who may do everything, and carries the tests' own messages. */
export const ADMIN = { user: 'admin', pass: 'admin-secret' }

/** Who may read, as far as the permissions below go. */
export const READER = { user: 'reader', pass: 'reader-secret' }

/** An exchange of type direct that {@link READER} may not read, and not change. */
export const PRIVATE_EXCHANGE = 'private'

/** An exchange of type topic that {@link READER} may read, but no routing key in `denied.`. */
export const TOPIC_EXCHANGE = 'unifrost-topics'

/** A RabbitMQ of ours, on ports of its own. */
export interface RabbitmqServer {
  readonly port: number
  /** Without credentials, which are put before the host: {@link urlOf}. */
  readonly host: string
  readonly process: BrokerProcess
  /** The connections of {@link READER}, the broker's queues, and the bindings to them. */
  open(): Promise<{ connections: number; queues: number; bindings: number }>
  /** The names of all queues. */
  queues(): Promise<string[]>
  /** Has RabbitMQ's own HTTP API do something, as an administrator would. */
  manage(method: string, path: string, body?: unknown): Promise<unknown>
  /** Sets what {@link READER} may configure, write to and read. */
  allow(permissions: Permissions): Promise<void>
  stop(): Promise<void>
}

/** Regular expressions for names. */
export interface Permissions {
  configure: string
  write: string
  read: string
}

/** The permissions that the docs ask for, with one exchange that is not among them. */
export const PERMISSIONS: Permissions = {
  configure: '^unifrost',
  write: '^unifrost-',
  read: '^(unifrost|rooms)',
}

/** The address of a broker for one of its users. */
export function urlOf(user: { user: string; pass: string }, host: string): string {
  return `amqp://${user.user}:${user.pass}@${host}`
}

const DEFINITIONS = {
  vhosts: [{ name: '/' }],
  users: [
    { name: ADMIN.user, password: ADMIN.pass, tags: 'administrator' },
    { name: READER.user, password: READER.pass, tags: '' },
  ],
  permissions: [
    { user: ADMIN.user, vhost: '/', configure: '.*', write: '.*', read: '.*' },
    { user: READER.user, vhost: '/', ...PERMISSIONS },
  ],
  topic_permissions: [
    {
      user: READER.user,
      vhost: '/',
      exchange: TOPIC_EXCHANGE,
      write: '.*',
      read: '^(?!denied[.])',
    },
  ],
  exchanges: [
    { name: PRIVATE_EXCHANGE, type: 'direct' },
    { name: TOPIC_EXCHANGE, type: 'topic' },
  ].map((exchange) => ({
    ...exchange,
    vhost: '/',
    durable: true,
    auto_delete: false,
    internal: false,
    arguments: {},
  })),
}

/** Starts a RabbitMQ, whose data is in a folder of its own and goes with it. */
export async function startRabbitmq(options: { port?: number } = {}): Promise<RabbitmqServer> {
  const command = await serverScript()
  const port = options.port ?? (await freePort())
  const [management, distribution, mapper] = [await freePort(), await freePort(), await freePort()]
  const folder = await mkdtemp(join(tmpdir(), 'unifrost-rabbitmq-'))
  const file = (name: string) => join(folder, name)
  await writeFile(file('definitions.json'), JSON.stringify(DEFINITIONS))
  await writeFile(file('enabled_plugins'), '[rabbitmq_management].')
  await writeFile(
    file('rabbitmq.conf'),
    [
      `load_definitions = ${file('definitions.json')}`,
      'management.tcp.ip = 127.0.0.1',
      `management.tcp.port = ${management}`,
      'log.console.level = warning',
      // How old the API's knowledge of connections may be, in milliseconds. Default: 5,000.
      'management_agent.disable_metrics_collector = true',
      '',
    ].join('\n'),
  )
  // The server would start this by itself, as a daemon that outlives it.
  const portMapper = await BrokerProcess.start({
    command: (await findCommand('epmd')) ?? 'epmd',
    args: ['-port', String(mapper)],
    env: { ERL_EPMD_ADDRESS: '127.0.0.1' },
    port: mapper,
  })
  const broker = await BrokerProcess.start({
    command,
    args: [],
    port,
    group: true,
    startTimeout: 120_000,
    cwd: folder,
    env: {
      HOME: folder,
      ERL_EPMD_PORT: String(mapper),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_NODENAME: `unifrost${port}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(distribution),
      RABBITMQ_MNESIA_BASE: file('mnesia'),
      RABBITMQ_LOG_BASE: file('log'),
      RABBITMQ_LOGS: '-',
      RABBITMQ_ENABLED_PLUGINS_FILE: file('enabled_plugins'),
      RABBITMQ_CONF_ENV_FILE: file('rabbitmq-env.conf'),
      RABBITMQ_CONFIG_FILE: file('rabbitmq'),
      RABBITMQ_PID_FILE: file('pid'),
      // One scheduler that sleeps when it is idle: the machine is the tests' too.
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 1:1 +sbwt none',
      RABBITMQ_SERVER_START_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    },
  }).catch(async (error: unknown) => {
    await portMapper.stop()
    await rm(folder, { recursive: true, force: true })
    throw error
  })
  const manage = (method: string, path: string, body?: unknown) =>
    callApi(management, method, path, body)
  return {
    port,
    host: `127.0.0.1:${port}`,
    process: broker,
    manage,
    async open() {
      const [connections, queues, bindings] = (await Promise.all([
        manage('GET', '/connections?disable_stats=true'),
        manage('GET', '/queues?columns=name'),
        manage('GET', '/bindings?columns=source,destination_type'),
      ])) as [{ user: string }[], unknown[], { source: string; destination_type: string }[]]
      return {
        connections: connections.filter(({ user }) => user === READER.user).length,
        queues: queues.length,
        // Every queue is bound to the exchange without a name, by its own.
        bindings: bindings.filter(
          ({ source, destination_type: type }) => source !== '' && type === 'queue',
        ).length,
      }
    },
    async queues() {
      const queues = (await manage('GET', '/queues?columns=name')) as { name: string }[]
      return queues.map(({ name }) => name)
    },
    async allow(permissions) {
      await manage('PUT', `/permissions/%2F/${READER.user}`, permissions)
    },
    async stop() {
      await broker.stop()
      await portMapper.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The one in PATH changes the user and the folder; this is what it runs. */
async function serverScript(): Promise<string> {
  await requireCommand(
    'rabbitmq-server',
    'rabbitmq-server',
    'start one and set UNIFROST_TEST_RABBITMQ=amqp://user:password@host:port',
  )
  const base = '/usr/lib/rabbitmq/lib'
  const version = (await readdir(base)).filter((name) => name.startsWith('rabbitmq_server-')).at(-1)
  if (version === undefined) throw new Error(`There is no RabbitMQ server in ${base}.`)
  return join(base, version, 'sbin/rabbitmq-server')
}

function callApi(port: number, method: string, path: string, body?: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const auth = `${ADMIN.user}:${ADMIN.pass}`
    const url = `http://127.0.0.1:${port}/api${path}`
    const headers = { 'content-type': 'application/json' }
    const sent = request(url, { method, auth, headers, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('error', reject)
      response.on('end', () => {
        const { statusCode = 0 } = response
        if (statusCode < 300) resolve(text === '' ? undefined : JSON.parse(text))
        else reject(new Error(`${method} ${path}: ${statusCode} ${text}`))
      })
    })
    sent.on('error', reject)
    sent.end(body === undefined ? undefined : JSON.stringify(body))
  })
}
