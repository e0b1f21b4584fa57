/** A client's place in a numbering: it has all entries up to `number`. */
export interface Position {
  readonly number: number
  /**
   * Only where entry `number` goes to several topics and the client has some of them: the last one
   * that it has, in the order of their names. An example: entry 9 goes to `a`, `b` and `c`. A
   * client at number 9 with tie `b` has all up to 8, and 9 of `a` and `b`; 9 of `c` is still to
   * come.
   */
  readonly tie?: string | undefined
}

/**
 * A position as `id:` and `Last-Event-ID` carry it: `<epoch>-<number>`, or with a tie
 * `<epoch>-<number>.<topic>`. The epoch names the numbering. Numbers begin anew after a restart,
 * and number 7 from before the restart is another message than number 7 from after it.
 */
const POSITION = /^([^-]+)-(0|[1-9]\d{0,15})(?:\.(.+))?$/

/** A position of no numbering: it is not known what the client has got. */
export const UNKNOWN_POSITION = 'unknown-0'

/** The text of a position. A number between two of a log, such as 9.5, is written as 9. */
export function formatPosition(epoch: string, number: number, tie?: string): string {
  const place = `${epoch}-${Math.floor(number)}`
  // By way of a Buffer, since `encodeURIComponent` throws for half of a surrogate pair.
  return tie === undefined ? place : `${place}.${encodeURIComponent(Buffer.from(tie).toString())}`
}

/** The position of a text, or undefined if it is malformed or of another epoch. */
export function parsePosition(epoch: string, text: string): Position | undefined {
  const match = POSITION.exec(text)
  if (match === null || match[1] !== epoch) return undefined
  const number = Number(match[2])
  if (!Number.isSafeInteger(number)) return undefined
  if (match[3] === undefined) return { number }
  try {
    return { number, tie: decodeURIComponent(match[3]) }
  } catch {
    return undefined
  }
}

/**
 * A number for an entry of the Streamer's own (a gap, a failure), which is not in the log: above
 * `last` and below the log's next number. An example: after 9 it is 9.5, after 9.5 a little more,
 * and always below 10. When there is no double left below 10, it is `last` again.
 */
export function numberBetween(last: number): number {
  const place = Math.floor(last)
  if (place === last) return place + 0.5
  // The next number that a double has.
  const next = last + last * 0.75 * Number.EPSILON
  return next < place + 1 ? next : last
}

/** The greatest double below `number`. */
export function numberBefore(number: number): number {
  return number * (1 - Number.EPSILON / 2)
}

/** The number up to which a client has all topics: with a tie, just below the position's. */
export function cursorAt({ number, tie }: Position): number {
  return tie === undefined ? number : numberBefore(number)
}

/** The number up to which a client has this topic. */
export function topicCursorAt({ number, tie }: Position, topic: string): number {
  return tie === undefined || topic <= tie ? number : numberBefore(number)
}
