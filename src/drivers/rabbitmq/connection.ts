import type { Duplex } from 'node:stream'
import { within } from '../../driver-kit/index.js'

/** What the driver uses of a connection that amqplib made, with or without its recovery. */
export interface RabbitConnection {
  createChannel(): Promise<RabbitChannel>
  /** Needed to publish only. */
  createConfirmChannel?(): Promise<RabbitConfirmChannel>
  close(): Promise<void>
  on(event: string, listener: (...args: unknown[]) => void): unknown
  removeListener(event: string, listener: (...args: unknown[]) => void): unknown
}

/** What the driver uses of a channel. */
export interface RabbitChannel {
  assertExchange(
    exchange: string,
    type: string,
    options: {
      durable: boolean
      autoDelete?: boolean
      internal?: boolean
      alternateExchange?: string
    },
  ): Promise<{ exchange: string }>
  bindExchange(destination: string, source: string, pattern: string): Promise<unknown>
  deleteExchange(exchange: string, options: { ifUnused: boolean }): Promise<unknown>
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

/** What the driver uses of a channel on which RabbitMQ confirms what is published. */
export interface RabbitConfirmChannel {
  publish(
    exchange: string,
    routingKey: string,
    content: Buffer,
    options: object,
    confirmed: (error: Error | null) => void,
  ): boolean
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

/** How long anything that is closed may take to say so, in milliseconds. */
export const CLOSE_TIMEOUT = 1_000

/** Closes a connection of ours, and its socket where the broker does not answer. */
export async function discard(connection: RabbitConnection): Promise<void> {
  // A connection that is torn down by force emits an 'error', which nobody else listens to.
  connection.on('error', () => undefined)
  await within((async () => connection.close())(), CLOSE_TIMEOUT)
  const { stream } =
    (connection as unknown as { connection?: { stream?: Duplex } }).connection ?? {}
  // The library stops its heartbeats only when the socket ends with an error.
  stream?.destroy(new Error('closed by its owner'))
}
