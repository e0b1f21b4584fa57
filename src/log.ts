import type { Driver, Sink, Subscription } from './driver.js'

/**
 * What a driver may add where its broker keeps all topics in one log: JetStream does, and a Redis
 * stream. A driver without a log needs none of this.
 */

/** Where a driver with a {@link Log} hands over what comes for one topic. */
export interface LogSink extends Sink {
  /**
   * One message, as {@link Sink.message} has it.
   *
   * @param number The entry's number in the log. A driver with a log always gives it. Numbers rise
   *   from call to call, over all topics.
   * @param shared Whether the entry goes to other topics here too. They get it one right after the
   *   other, in the order of their names (by code units, as `<` compares).
   */
  message(payload: string | Uint8Array, number?: number, shared?: boolean): void

  /**
   * Messages may be missing, as {@link Sink.gap} has it.
   *
   * @param through The last number that may be missing, where that is above the log's position.
   */
  gap(reason: string, through?: number): void
}

/** One topic, open in a log. */
export interface LogSubscription extends Subscription {
  /** The topic gets the log's entries after this number. */
  readonly position?: number
}

/** What reading a {@link Log} yields. */
export type LogEntry =
  /** An entry, and which of the requested topics it goes to, in the order of their names. */
  | { readonly number: number; readonly payload: string | Uint8Array; readonly topics: string[] }
  /** Entries up to this number were requested and are no longer in the log. */
  | { readonly lostThrough: number }

/**
 * The log of a broker that keeps all topics in one order. Its numbers are the same for every
 * server that reads it, so that a client goes on exactly on any of them.
 *
 * An example: entry 7 goes to topic `a`, entry 8 to nobody here, entry 9 to `a` and `b`. Topic `a`
 * gets `message(…, 7)` and `message(…, 9, true)`, topic `b` gets `message(…, 9, true)` right after,
 * and `position` is 8 before the first of the two and 9 after the second.
 */
export interface Log {
  /**
   * Names the numbering, in letters and digits: the same on every server, another one when the
   * log was made anew. Undefined until `open` has resolved.
   */
  readonly epoch: string | undefined

  /**
   * Everything through this number has been handed to the sinks. It moves on with entries that
   * nobody here is subscribed to, and stays before an entry until all its topics have got it.
   * A whole number from 0, below 2^52.
   */
  readonly position: number

  /** Finds out the epoch and the position. Rejects as `subscribe` does, and may be tried again. */
  open(): Promise<void>

  /**
   * Settles once everything through `number` has been handed over, or, with false, if there is no
   * such number yet or it takes too long.
   */
  reach(number: number): Promise<boolean>

  /**
   * The entries of these topics after one number and through another one, which has been reached,
   * in order. What is said to be lost is said before any entry that follows it. It throws when
   * the log can't be read at the moment.
   */
  read(topics: readonly string[], after: number, through: number): AsyncIterable<LogEntry>

  /**
   * Set by the Streamer, and called when the log was made anew, between two entries: `epoch` and
   * `position` are the new ones by then. All topics are told that messages are missing; the
   * driver calls no `gap` for it.
   */
  onRestart: (() => void) | undefined
}

/** A driver of a broker that keeps all topics in one log. */
export interface LogDriver extends Driver {
  /** The log; undefined where it was turned off. */
  readonly log?: Log | undefined

  subscribe(topic: string, sink: LogSink): Promise<LogSubscription>
}

/** The log of a driver that has one. */
export function logOf(driver: Driver): Log | undefined {
  return (driver as LogDriver).log
}
