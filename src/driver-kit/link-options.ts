import type { ConnectHints } from './connect-error.js'

/** How a `Link` comes by its connections, and what it does with them. Milliseconds. */
export interface LinkOptions<Connection> {
  /** The broker's name, for errors. */
  broker: string
  /** Its host and port, for errors. */
  where: string
  /**
   * What has to be there before the first attempt, such as the library, which is loaded when it is
   * needed. It takes its own time, and its errors are passed on as they are.
   */
  prepare?: (() => Promise<unknown>) | undefined
  /**
   * Makes a connection that is ready for use. One that comes after `connectTimeout`, or after
   * `close`, is ended.
   */
  connect: (attempt: ConnectAttempt) => Promise<Connection>
  /**
   * Whether `connect` asks the broker for anything. False where it only makes a client: then the
   * driver calls `Link.heard` when the broker answers, and `Link.silent` when it does not. Default:
   * true.
   */
  asks?: boolean | undefined
  /**
   * Settles when this connection is of no use any more, with the reason. Default: never, for a
   * client that connects anew with every request.
   */
  lost?: ((connection: Connection) => Promise<unknown>) | undefined
  /** Ends a connection, or lets go of one that belongs to the user. It has `closeTimeout` for it. */
  end: (connection: Connection) => unknown
  /**
   * Whether to try again after this error of an attempt. With it, a lost connection is followed by
   * attempts until one succeeds; without it nothing is tried until `get` is called, for a library
   * that reconnects by itself.
   */
  again?: ((error: unknown) => boolean) | undefined
  /** Asks the broker whether it still lives, for a library that does not find out by itself. */
  probe?: Probe<Connection> | undefined
  /** How long an attempt to connect may take. Default: 5,000. */
  connectTimeout?: number | undefined
  /** How long ending a connection may take. Default: 1,000. */
  closeTimeout?: number | undefined
  /** What to say in the error of an attempt. Default: see `connectError`. */
  hints?: ConnectHints | undefined
  /** Makes the error of an attempt, for one that `hints` can't say. Default: `connectError`. */
  explain?: ((cause: unknown) => Error) | undefined
}

/** One attempt of a `Link` to connect. */
export interface ConnectAttempt {
  /** How long it may take, in milliseconds. */
  readonly timeout: number
  /** Aborted when that time is over, or the link is closed: let go of everything. */
  readonly signal: AbortSignal
}

/**
 * Finds out that a connection is dead although nothing has closed it. A broker counts as silent only
 * by time for which this process listened: see `patiently`.
 */
export interface Probe<Connection> {
  /** How often to ask. */
  interval: number
  /** How long an answer may take before the connection is given up. */
  timeout: number
  /** Asks for anything. A refusal is an answer, too. */
  ask: (connection: Connection) => Promise<unknown>
}

/** What happens to a `Link`. */
export interface LinkEvents<Connection> {
  /** There is a connection: the first one, or the next. */
  up?(connection: Connection): void
  /** The connection is lost. */
  lost?(reason: unknown): void
  /** No other attempt is made, after an error that `again` says no to. `get` still makes one. */
  over?(error: Error): void
}
