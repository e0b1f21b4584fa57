import type { Duplex } from 'node:stream'
import { OptionsError } from '../../errors.js'
import { loadPeer } from '../../driver-kit/peer.js'
import { within } from '../../driver-kit/within.js'

/** What the driver uses of a connection that amqplib made, with or without its recovery. */
export interface RabbitConnection {
  createChannel(): Promise<RabbitChannel>
  close(): Promise<void>
  on(event: string, listener: (...args: unknown[]) => void): unknown
  removeListener(event: string, listener: (...args: unknown[]) => void): unknown
}

/** What the driver uses of a channel. */
export interface RabbitChannel {
  assertExchange(
    exchange: string,
    type: string,
    options: { durable: boolean },
  ): Promise<{ exchange: string }>
  checkExchange(exchange: string): Promise<unknown>
  assertQueue(
    queue: string,
    options: { exclusive: boolean; autoDelete: boolean; durable: boolean; expires: number },
  ): Promise<{ queue: string }>
  deleteQueue(queue: string): Promise<unknown>
  get(queue: string, options: { noAck: boolean }): Promise<unknown>
  bindQueue(queue: string, exchange: string, routingKey: string): Promise<unknown>
  unbindQueue(queue: string, exchange: string, routingKey: string): Promise<unknown>
  consume(
    queue: string,
    onMessage: (message: RabbitMessage | null) => void,
    options: { noAck: boolean; exclusive: boolean },
  ): Promise<{ consumerTag: string }>
  cancel(consumerTag: string): Promise<unknown>
  close(): Promise<void>
  on(event: string, listener: (...args: unknown[]) => void): unknown
}

/** A message as amqplib hands it over. */
export interface RabbitMessage {
  readonly content: Buffer
  readonly fields: { readonly exchange: string; readonly routingKey: string }
  readonly properties: {
    readonly headers?: Record<string, unknown> | undefined
    readonly contentType?: string | undefined
    readonly contentEncoding?: string | undefined
    readonly correlationId?: string | undefined
    readonly messageId?: string | undefined
    readonly timestamp?: number | undefined
    readonly type?: string | undefined
    readonly appId?: string | undefined
  }
}

/** Where RabbitMQ is and how to get in, handed to amqplib's `connect` as it is. */
export interface RabbitConnectOptions {
  hostname: string
  protocol?: 'amqp' | 'amqps'
  port?: number
  username?: string
  password?: string
  vhost?: string
  /** Seconds. Default: the driver's option of the same name. */
  heartbeat?: number
  frameMax?: number
  channelMax?: number
}

/** Makes a connection, each time the driver needs one. */
export type RabbitConnect = () => Promise<RabbitConnection>

/** How the driver comes by its connections. */
export interface Origin {
  /** For people: host and port, or what we have instead. */
  readonly where: string
  /** Whether the connection is the user's, who made it and will close it. */
  readonly brought: boolean
  /** Rejects with an error that says what to do. */
  connect(aborted: AbortSignal): Promise<RabbitConnection>
}

/** @throws OptionsError for what is none of the things that it takes. */
export function originOf(
  target: unknown,
  settings: { heartbeat: number; connectTimeout: number },
): Origin {
  if (typeof (target as Partial<RabbitConnection> | null)?.createChannel === 'function') {
    const connection = target as RabbitConnection
    return { where: 'the given connection', brought: true, connect: async () => connection }
  }
  const { connectTimeout } = settings
  if (typeof target === 'function') {
    const where = 'what the given function connects to'
    const connect = async () => connectWithin(target as RabbitConnect, connectTimeout, where)
    return { where, brought: false, connect }
  }
  const address = addressOf(target, settings.heartbeat)
  return {
    where: address.where,
    brought: false,
    async connect(aborted) {
      const amqplib = await loadPeer('rabbitmqDriver', 'amqplib', () => import('amqplib'))
      const controller = new AbortController()
      const abort = () => controller.abort()
      const clientProperties = { connection_name: 'unifrost' }
      const socket = { signal: controller.signal, clientProperties, noDelay: true }
      const connect = async () => (await amqplib.connect(address.url, socket)) as RabbitConnection
      aborted.addEventListener('abort', abort)
      if (aborted.aborted) abort()
      try {
        return await connectWithin(connect, connectTimeout, address.where, address.vhost)
      } catch (error) {
        abort()
        throw error
      } finally {
        aborted.removeEventListener('abort', abort)
      }
    },
  }
}

interface Address {
  url: string | (RabbitConnectOptions & { heartbeat: number })
  where: string
  vhost: string
}

function addressOf(target: unknown, heartbeat: number): Address {
  const seconds = heartbeat / 1_000
  if (typeof target === 'string') {
    const url = URL.canParse(target) ? new URL(target) : undefined
    const known = url?.protocol === 'amqp:' || url?.protocol === 'amqps:'
    if (!url?.hostname || !known) throw addressError(target)
    if (!url.searchParams.has('heartbeat')) url.searchParams.set('heartbeat', String(seconds))
    const port = url.port || (url.protocol === 'amqp:' ? '5672' : '5671')
    const vhost = url.pathname.length > 1 ? decodeURIComponent(url.pathname.slice(1)) : '/'
    return { url: url.href, where: `${url.hostname}:${port}`, vhost }
  }
  const given = target as RabbitConnectOptions | null | undefined
  if (typeof given?.hostname !== 'string' || given.hostname === '') throw addressError(target)
  const { protocol = 'amqp', vhost = '/' } = given
  if (protocol !== 'amqp' && protocol !== 'amqps') throw addressError(`${String(protocol)}://`)
  const port = given.port ?? (protocol === 'amqp' ? 5672 : 5671)
  const url = { ...given, heartbeat: given.heartbeat ?? seconds }
  return { url, where: `${given.hostname}:${port}`, vhost }
}

function addressError(got: unknown): OptionsError {
  // What stands before an @ is secret; of anything but text, the kind is enough.
  const shown = typeof got === 'string' ? JSON.stringify(got.replace(/[^/@]*@/, '…@')) : typeof got
  return new OptionsError(
    `rabbitmqDriver got ${shown} as the address of RabbitMQ. It takes amqp://host:port or ` +
      'amqps://host:port, { hostname, … }, a connection of amqplib, or a function that makes one.',
  )
}

async function connectWithin(
  connect: RabbitConnect,
  timeout: number,
  where: string,
  vhost = '/',
): Promise<RabbitConnection> {
  const connecting = (async () => connect())()
  const connection = await within(connecting, timeout)
  if (connection === 'late') {
    void connecting.then((late) => discard(late)).catch(ignoreLate)
    throw connectError(where, vhost, new Error(`no answer within ${timeout} ms`))
  }
  if (connection !== 'failed') return connection
  return connecting.catch((cause: unknown) => {
    throw connectError(where, vhost, cause)
  })
}

/** Our caller has been told that the connection failed; how it went on to fail adds nothing. */
function ignoreLate(): void {}

/** How long anything that is closed may take to say so. */
export const CLOSE_TIMEOUT = 1_000

/** Closes a connection of ours, and its socket where the broker does not answer. */
export async function discard(connection: RabbitConnection): Promise<void> {
  // One that is torn down by force says so in an 'error', which nobody else listens to.
  connection.on('error', ignoreLate)
  await within((async () => connection.close())(), CLOSE_TIMEOUT)
  const { stream } =
    (connection as unknown as { connection?: { stream?: Duplex } }).connection ?? {}
  // Without an error, the library would not notice, and its heart would beat on.
  stream?.destroy(new Error('closed by its owner'))
}

/** What RabbitMQ itself said, out of what amqplib made of it. */
export function reasonOf(error: unknown): string {
  const { message = '', code } = error as { message?: string; code?: string | number }
  const said = /with message "(.*)"/s.exec(message)?.[1]
  return said ?? [message, message.includes(String(code)) ? '' : code].filter(Boolean).join(', ')
}

function connectError(where: string, vhost: string, cause: unknown): Error {
  const reason = reasonOf(cause) || String(cause)
  if (/ACCESS.REFUSED|SASL/i.test(reason)) {
    return new Error(
      `RabbitMQ at ${where} refused the credentials (${reason}). Check user and password.`,
      { cause },
    )
  }
  if (/Expected ConnectionOpenOk|NOT_ALLOWED/.test(reason)) {
    return new Error(
      `RabbitMQ at ${where} did not open the virtual host ${JSON.stringify(vhost)} (${reason}). ` +
        'Create it, or give the user permissions in it.',
      { cause },
    )
  }
  if (/certificate|tls|ssl/i.test(reason)) {
    return new Error(
      `No TLS connection to RabbitMQ at ${where} (${reason}). Check the address, and give a ` +
        'function that calls connect of amqplib with the TLS options it needs.',
      { cause },
    )
  }
  return new Error(
    `No connection to RabbitMQ at ${where} (${reason}). Start it, or correct the address.`,
    { cause },
  )
}
