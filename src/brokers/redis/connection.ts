import type { ConnectAttempt } from '../../driver-kit/index.js'

/** A command and its arguments: its name, names in Redis, and payloads as bytes. */
export type Command = readonly (string | Buffer)[]

/** One connection to Redis, by either library. When it is lost, the library makes no other. */
export interface RedisConnection {
  /** Sends a command. Bulk strings of the reply are bytes. */
  call(command: Command): Promise<unknown>
  /** Settles when Redis has confirmed the channel. */
  subscribe(channel: string, listener: (payload: Buffer) => void): Promise<void>
  unsubscribe(channel: string): Promise<void>
  /** Asks whether it lives, where PING does not tell all there is to it. */
  probe?(): Promise<unknown>
  /** Settles when the connection is gone, for whatever reason. */
  readonly lost: Promise<Error>
  /** Closes it at once, whatever it is doing. */
  destroy(): void
}

/** A Redis server: where it is, and how to connect to it. */
export interface RedisServer {
  /** Its host and port, for errors. */
  readonly where: string
  /** Loads the library, where the user gave no client of one. */
  load(): Promise<unknown>
  /** Makes a new connection. It resolves when Redis has let us in. */
  connect(attempt: ConnectAttempt): Promise<RedisConnection>
}
