import type { Driver, Payload, Sink, Subscription } from './driver.js'

/**
 * What a driver adds if its broker keeps all topics in one log, as JetStream and Redis Streams do.
 * A driver without a log needs none of this.
 */

/** Where a driver with a {@link Log} hands over what the broker sends for one topic. */
export interface LogSink extends Sink {
  /**
   * One message. See {@link Sink.message}.
   *
   * @param number The entry's number in the log. A driver with a log always gives it. Numbers never
   *   fall from call to call, over all topics.
   * @param shared Whether the driver hands the entry to several open topics. It does so in one go,
   *   in the order of their names (by code units, as `<` compares).
   */
  message(payload: Payload, number?: number, shared?: boolean): void

  /**
   * Messages may be missing. See {@link Sink.gap}.
   *
   * @param through The number of the last entry that may be missing, if it is above the log's
   *   position.
   */
  gap(reason: string, through?: number): void
}

/** One topic, open in a log. */
export interface LogSubscription extends Subscription {
  /** The topic gets the entries after this number. */
  readonly position?: number
}

/** What reading a {@link Log} yields. */
export type LogEntry =
  /**
   * An entry, and the requested topics that it goes to, in the order of their names. Its payload is
   * one for all of them, or a list with one for each.
   */
  | {
      readonly number: number
      readonly payload: Payload | readonly Payload[]
      readonly topics: string[]
    }
  /**
   * Entries up to this number were requested and are no longer in the log: of these topics, or of all
   * that were requested.
   */
  | { readonly lostThrough: number; readonly topics?: readonly string[] }

/**
 * The log of a broker that keeps all topics in one order. Every server that reads it sees the same
 * numbers, so a client can resume at any server and miss nothing.
 *
 * An example: entry 7 goes to topic `a`, entry 8 to no open topic, entry 9 to `a` and `b`. The
 * driver calls `message(…, 7)` for `a`, then `message(…, 9, true)` for `a` and right after it for
 * `b`. `position` is 8 until both have got entry 9, and 9 from then on.
 */
export interface Log {
  /**
   * Names the numbering, in letters and digits. All servers see one epoch; a log that was created
   * anew has another one. Undefined until `open` has resolved.
   */
  readonly epoch: string | undefined

  /**
   * Text that all servers which read this log find out alike, and that clients can't: positions are
   * signed with it, so that a request can't make one up. It may change with `epoch`. Without one,
   * a server takes positions of another server only if both have the Streamer's option `secret`.
   */
  readonly secret?: string | undefined

  /**
   * The driver has handed all entries up to this number to the sinks, and passed over those that go
   * to no open topic. It stays below an entry until all topics of the entry have got it. A whole
   * number from 0, below 2^52.
   */
  readonly position: number

  /** Finds out the epoch and the position. When it rejects, it may be tried again. */
  open(): Promise<void>

  /**
   * Waits until `position` has reached `number`. Resolves with false if the log has no such number
   * yet, or if it takes too long.
   */
  reach(number: number): Promise<boolean>

  /**
   * Reads the entries of these topics whose number is above `after` and at most `through`, in
   * order. `position` has reached `through`. A `lostThrough` comes before all entries above it that
   * are of its topics. It throws when the log can't be read at the moment.
   */
  read(topics: readonly string[], after: number, through: number): AsyncIterable<LogEntry>

  /**
   * The Streamer sets it. The driver calls it between two entries when the log was created anew,
   * and has changed `epoch` and `position` by then. The Streamer tells the clients of all topics
   * that messages are missing; the driver calls no `gap` for it.
   */
  onRestart: (() => void) | undefined
}

/** A driver of a broker that keeps all topics in one log. */
export interface LogDriver extends Driver {
  /** The log, or undefined if it is turned off. */
  readonly log?: Log | undefined

  subscribe(topic: string, sink: LogSink): Promise<LogSubscription>
}

/** The log of a driver that has one. */
export function logOf(driver: Driver): Log | undefined {
  return (driver as LogDriver).log
}
