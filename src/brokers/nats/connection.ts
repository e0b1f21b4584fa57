import { connect as connectSocket } from 'node:net'
import type { Socket } from 'node:net'
import { OptionsError } from '../../errors.js'
import { Backoff, noAnswer, shownAddress, whenAbsent, within } from '../../driver-kit/index.js'
import type { ConnectAttempt } from '../../driver-kit/index.js'

/** A message of NATS, as `payload` gets it. */
export interface NatsMessage {
  readonly subject: string
  readonly data: Uint8Array
}

/**
 * What is used of a connection of either library, `nats` or `@nats-io/transport-node`. Neither has to
 * be installed for these types.
 */
export interface NatsConnection {
  subscribe(
    subject: string,
    options: { callback: (error: Error | null, message: NatsMessage) => void },
  ): NatsSubscription
  publish(subject: string, payload?: Uint8Array): void
  flush(): Promise<void>
  status(): AsyncIterable<NatsStatus>
  closed(): Promise<void | Error>
  close(): Promise<void>
  isClosed(): boolean
  getServer(): string
}

/** One subject of a connection. */
export interface NatsSubscription {
  unsubscribe(): void
  isClosed(): boolean
}

/** What happens to a connection. An error is in `error` in version 3, and its code in `data` in version 2. */
export interface NatsStatus {
  readonly type: string
  readonly data?: unknown
  readonly error?: Error
}

/** The `connect` function of either library. */
export type NatsConnect = (options: NatsConnectOptions) => Promise<NatsConnection>

/**
 * Where NATS is and how to get in. It is handed to the library's `connect` as it is, so every option of
 * the library may be given. These have other defaults than the library's:
 */
export interface NatsConnectOptions {
  /** `nats://[user:password@]host:port` or `tls://…`, one or several of one cluster. */
  servers: string | string[]
  /** How often a silent link is probed, in milliseconds. Default: 1,000. */
  pingInterval?: number
  /** How many probes may stay unanswered; the next one breaks the link. Default: 2. */
  maxPingOut?: number
  /** How often reconnecting is tried. Default: -1, for ever. */
  maxReconnectAttempts?: number
  /**
   * Whether to go on although a server refuses the credentials twice. Default: true, since a server
   * may do so for a moment, while its accounts are changed.
   */
  ignoreAuthErrorAbort?: boolean
  /** How long to wait between two tries. Default: 100 to 2,000 ms, growing, with jitter. */
  reconnectDelayHandler?: () => number
  user?: string
  pass?: string
  token?: string
  [option: string]: unknown
}

/** How long the library waits before it tries to reconnect. */
export class ReconnectDelay {
  readonly #backoff = new Backoff()
  #wait = 0

  /** The library asks several times before one try, so the answer only changes with a try. */
  readonly get = (): number => this.#wait

  /** Follows the connection's status. */
  follow(type: string): void {
    if (type === 'reconnect') this.#backoff.reset()
    if (type === 'reconnect' || type === 'reconnecting') this.#wait = this.#backoff.next()
  }
}

/** Whether this is a connection, and not where to connect to. */
export function isConnection<Connection extends NatsConnection>(
  target: Connection | NatsConnectOptions | string,
): target is Connection {
  return typeof (target as Partial<Connection> | undefined)?.subscribe === 'function'
}

/** Options in which every server is `host:port`, and secrets stand in fields of their own. */
export interface ServerOptions extends NatsConnectOptions {
  servers: string[]
}

/**
 * Takes the address apart.
 *
 * @param user The function that the user called, for errors.
 * @throws OptionsError for what is no address.
 */
export function connectOptions(
  target: string | NatsConnectOptions,
  user = 'natsDriver',
): ServerOptions {
  const given = typeof target === 'string' ? { servers: target } : { ...target }
  const list = typeof given.servers === 'string' ? given.servers.split(',') : given.servers
  if (!Array.isArray(list) || list.length === 0) throw addressError(user, target)
  const options: ServerOptions = {
    pingInterval: 1_000,
    maxPingOut: 2,
    maxReconnectAttempts: -1,
    ignoreAuthErrorAbort: true,
    ...given,
    servers: [],
  }
  options.servers = list.map((server) => {
    const url = parse(user, server)
    // The libraries ignore user and password in an address, and would connect without them.
    if (url.username && url.password) {
      options.user ??= decodeURIComponent(url.username)
      options.pass ??= decodeURIComponent(url.password)
    } else if (url.username) {
      options.token ??= decodeURIComponent(url.username)
    }
    if (url.protocol === 'tls:') options['tls'] ??= {}
    return `${url.hostname}:${url.port || '4222'}`
  })
  return options
}

function parse(user: string, server: unknown): URL {
  if (typeof server !== 'string') throw addressError(user, server)
  const text = server.includes('://') ? server.trim() : `nats://${server.trim()}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isNats = url?.protocol === 'nats:' || url?.protocol === 'tls:'
  if (url?.hostname && isNats && isDecodable(url.username + url.password)) return url
  throw addressError(user, server)
}

/** Whether each % begins an escape, of bytes that are text. */
function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

function addressError(user: string, got: unknown): OptionsError {
  return new OptionsError(
    `${user} got ${shownAddress(got)} as the address of a NATS server. It takes a connection, ` +
      'nats://host:port or tls://host:port, several with commas between them, or { servers }. In ' +
      'user and password, write % as %25, and @ as %40.',
  )
}

/** Connects with the library, once a server has shown that it answers. */
export async function dial(
  options: ServerOptions,
  { timeout, signal }: ConnectAttempt,
  delay: ReconnectDelay,
  connect: NatsConnect,
): Promise<NatsConnection> {
  const { servers } = options
  const { handshakeFirst } = (options['tls'] ?? {}) as { handshakeFirst?: boolean }
  const until = performance.now() + timeout
  await answer(servers, handshakeFirst ? 'connect' : 'data', signal)
  signal.throwIfAborted()
  // The library tries the servers in turn, each for its timeout; together they get what is left.
  const each = Math.ceil(Math.max(1, until - performance.now()) / servers.length)
  try {
    return await connect({ reconnectDelayHandler: delay.get, timeout: each, ...options })
  } catch (error) {
    if (/^timeout$/i.test((error as Error).message)) throw noAnswer(timeout)
    throw error
  }
}

/** How long a server that has greeted us has to say that it has no room, in milliseconds. */
const REFUSES_WITHIN = 10
/** How long is waited for a server to let go of a connection, in milliseconds. */
const LETS_GO_WITHIN = 200

/**
 * Settles when one of the servers has sent something, which NATS does first. The libraries are not
 * sent to a server that is silent: they would leave a socket open for each attempt. Nor to one that
 * is full, which says so behind its greeting: they would wait for more until time is up.
 */
async function answer(servers: string[], event: 'connect' | 'data', signal: AbortSignal) {
  const sockets: Socket[] = []
  const destroy = () => {
    for (const socket of sockets) socket.destroy()
  }
  const answers = servers.map((server) => {
    const { hostname, port } = new URL(`nats://${server}`)
    const socket = connectSocket(Number(port), hostname.replace(/[[\]]/g, ''))
    sockets.push(socket)
    return new Promise<void>((resolve, reject) => {
      let said = ''
      if (event === 'connect') socket.once('connect', () => resolve())
      socket.setEncoding('latin1').on('data', (text: string) => {
        if (said === '') setTimeout(resolve, REFUSES_WITHIN)
        said += text
        const [, refusal] = /^-ERR '(.*)'/m.exec(said) ?? []
        if (refusal !== undefined) reject(new Error(refusal))
      })
      socket.on('error', reject)
      socket.once('close', () => {
        if (said === '') reject(new Error('the connection was closed without a word'))
        else resolve()
      })
    })
  })
  signal.addEventListener('abort', destroy)
  try {
    await Promise.any(answers)
    // A server with one place left must have it free again for the library.
    if (event === 'data') await within(Promise.all(sockets.map(ended)), LETS_GO_WITHIN)
  } catch (error) {
    throw (error as AggregateError).errors[0]
  } finally {
    signal.removeEventListener('abort', destroy)
    destroy()
  }
}

/** Ends a connection, and settles when the server has let go of it, too. */
function ended(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.connecting || socket.destroyed) {
      resolve()
      return
    }
    socket.once('close', () => resolve())
    socket.end()
  })
}

/** Loads whichever library is installed. Both are optional. */
export async function loadConnect(user: string): Promise<NatsConnect> {
  const loaded = (await importTransport()) ?? (await importNats())
  if (loaded) return loaded.connect
  throw new Error(
    `${user} needs a NATS library to connect to an address. Run ` +
      '`npm install @nats-io/transport-node`, or hand it a connection of your own.',
  )
}

async function importTransport() {
  try {
    return await import('@nats-io/transport-node')
  } catch (error) {
    return whenAbsent('@nats-io/transport-node', error)
  }
}

async function importNats() {
  try {
    return await import('nats')
  } catch (error) {
    return whenAbsent('nats', error)
  }
}
