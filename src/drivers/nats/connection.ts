import { connect as connectSocket } from 'node:net'
import type { Socket } from 'node:net'
import { OptionsError } from '../../errors.js'
import { tryPeer } from '../toolbox/peer.js'
import { within } from '../toolbox/within.js'

/**
 * What the driver uses of a connection, so that one made by either library, `nats` or
 * `@nats-io/transport-node`, fits and neither has to be installed for the types to hold.
 */
export interface NatsConnection {
  subscribe(
    subject: string,
    options: { callback: (error: Error | null, message: { readonly data: Uint8Array }) => void },
  ): NatsSubscription
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

/** What happens to a connection: `error` carries it in v3, `data` its code in v2. */
export interface NatsStatus {
  readonly type: string
  readonly data?: unknown
  readonly error?: Error
}

/** The `connect` function of either library. */
export type NatsConnect = (options: NatsConnectOptions) => Promise<NatsConnection>

/**
 * Where NATS is and how to get in: handed to the library's `connect` as it is, so everything
 * the library knows may stand here. These defaults differ from the library's:
 */
export interface NatsConnectOptions {
  /** `nats://[user:password@]host:port` or `tls://…`, one or several of one cluster. */
  servers: string | string[]
  /** How often a silent link is probed, in milliseconds. Default: 1,000. */
  pingInterval?: number
  /** How many probes may stand unanswered; the next one breaks the link. Default: 2. */
  maxPingOut?: number
  /** How often reconnecting is tried. Default: -1, for ever. */
  maxReconnectAttempts?: number
  /** How long to wait between two tries. Default: 100 to 2,000 ms, growing, with jitter. */
  reconnectDelayHandler?: () => number
  user?: string
  pass?: string
  token?: string
  [option: string]: unknown
}

/** The wait before the next try to reconnect: doubled with each one, with jitter. */
export class Backoff {
  #tries = 0
  #wait = 0

  /** The library asks several times for one wait, so the answer only changes with a try. */
  readonly delay = (): number => this.#wait

  /** Follows the connection's status. */
  follow(type: string): void {
    if (type === 'reconnecting') this.#tries++
    else if (type === 'reconnect') this.#tries = 0
    else return
    const full = Math.min(2_000, 100 * 2 ** this.#tries)
    this.#wait = Math.round(full / 2 + (Math.random() * full) / 2)
  }
}

/** The options with the address taken apart. Throws an `OptionsError` for one that is none. */
export function connectOptions(
  target: string | NatsConnectOptions,
  driver = 'natsDriver',
): NatsConnectOptions {
  const given = typeof target === 'string' ? { servers: target } : { ...target }
  const list = typeof given.servers === 'string' ? given.servers.split(',') : given.servers
  if (!Array.isArray(list) || list.length === 0) throw addressError(driver, target)
  const options: NatsConnectOptions = {
    pingInterval: 1_000,
    maxPingOut: 2,
    maxReconnectAttempts: -1,
    ...given,
  }
  options.servers = list.map((server) => {
    const url = parse(driver, server)
    // The libraries drop what stands before the @, which would connect as nobody.
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

function parse(driver: string, server: unknown): URL {
  if (typeof server !== 'string') throw addressError(driver, server)
  const text = server.includes('://') ? server.trim() : `nats://${server.trim()}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.hostname && (url.protocol === 'nats:' || url.protocol === 'tls:')) return url
  throw addressError(driver, server)
}

function addressError(driver: string, got: unknown): OptionsError {
  // What stands before an @ is secret; of anything but text, the kind is enough.
  const shown = typeof got === 'string' ? JSON.stringify(got.replace(/[^/@]*@/, '…@')) : typeof got
  return new OptionsError(
    `${driver} got ${shown} as the address of a NATS server. It takes a connection, ` +
      'nats://host:port or tls://host:port, several with commas between them, or { servers }.',
  )
}

/** Connects, or rejects within `timeout` milliseconds with an error that says what to do. */
export async function connectNats(
  options: NatsConnectOptions,
  timeout: number,
  backoff: Backoff,
  connect: NatsConnect,
): Promise<NatsConnection> {
  const servers = options.servers as string[]
  const { handshakeFirst } = (options['tls'] ?? {}) as { handshakeFirst?: boolean }
  const until = performance.now() + timeout
  try {
    await answer(servers, timeout, handshakeFirst ? 'connect' : 'data')
    const left = Math.max(1, until - performance.now())
    // The library gives its timeout to each server in turn; together they get what is left.
    const each = Math.ceil(left / servers.length)
    const connecting = connect({ reconnectDelayHandler: backoff.delay, timeout: each, ...options })
    const connection = await within(connecting, left)
    if (connection === 'failed') return await connecting
    if (connection !== 'late') return connection
    void connecting.then((late) => late.close()).catch(ignoreLate)
    throw new Error(`no answer within ${timeout} ms`)
  } catch (error) {
    throw connectError(servers, timeout, error)
  }
}

/** Our caller has been told that the connection failed; how it went on to fail adds nothing. */
function ignoreLate(): void {}

/**
 * Settles when one of the servers speaks, which they do by themselves. The libraries are sent to
 * no server that is silent: they leave a socket open for each attempt.
 */
async function answer(servers: string[], timeout: number, event: 'connect' | 'data') {
  const sockets: Socket[] = []
  const timer = setTimeout(() => {
    for (const socket of sockets) socket.destroy(new Error(`no answer within ${timeout} ms`))
  }, timeout)
  const answers = servers.map((server) => {
    const { hostname, port } = new URL(`nats://${server}`)
    const socket = connectSocket(Number(port), hostname.replace(/[[\]]/g, ''))
    sockets.push(socket)
    return new Promise((resolve, reject) => {
      socket.once(event, resolve)
      socket.on('error', reject)
      socket.once('close', () => reject(new Error('the connection was closed without a word')))
    })
  })
  try {
    await Promise.any(answers)
  } catch (error) {
    throw (error as AggregateError).errors[0]
  } finally {
    clearTimeout(timer)
    for (const socket of sockets) socket.destroy()
  }
}

function connectError(servers: string[], timeout: number, cause: unknown): Error {
  const { code, message } = cause as { code?: string; message?: string }
  const words = message && code && message.includes(code) ? [message] : [message, code]
  const given = [...new Set(words)].filter(Boolean).join(', ') || String(cause)
  const reason = /^timeout$/i.test(given) ? `no answer within ${timeout} ms` : given
  const where = servers.join(', ')
  if (/authorization|authentication|credentials|BAD_CREDS/i.test(reason)) {
    return new Error(
      `The NATS server at ${where} refused the credentials (${reason}). ` +
        'Check user and password, token or authenticator.',
      { cause },
    )
  }
  if (/certificate|tls|ssl/i.test(reason)) {
    return new Error(
      `No TLS connection to the NATS server at ${where} (${reason}). Check the tls options.`,
      { cause },
    )
  }
  return new Error(
    `No NATS server could be reached at ${where} (${reason}). ` +
      'Start it, or correct the address.',
    { cause },
  )
}

/** The libraries are optional: whichever is there is loaded when a connection is first needed. */
export async function loadConnect(driver = 'natsDriver'): Promise<NatsConnect> {
  const newer = await tryPeer('@nats-io/transport-node', () => import('@nats-io/transport-node'))
  const loaded = newer ?? (await tryPeer('nats', () => import('nats')))
  if (loaded) return loaded.connect
  throw new Error(
    `${driver} needs a NATS library to connect to an address. Run ` +
      '`npm install @nats-io/transport-node`, or hand it a connection of your own.',
  )
}
