/** A place in a numbering. */
export interface Position {
  readonly number: number
  /**
   * Of an entry that goes to several topics: the last of them, in the order of their names, that
   * the client has. It has everything before the number, and of the number the topics up to here.
   */
  readonly tie?: string | undefined
}

/**
 * A position as it travels in `id:` and `Last-Event-ID`: `<epoch>-<number>`, or, where an entry
 * of a driver's log went to several topics, `<epoch>-<number>.<topic>`. The epoch names the
 * numbering: after a restart numbers begin anew, and number 7 of yesterday must not be taken for
 * number 7 of today.
 */
const POSITION = /^([^-]+)-(0|[1-9]\d{0,15})(?:\.(.+))?$/

/** A position that no server knows: what a client got is not known. */
export const UNKNOWN_POSITION = 'unknown-0'

/** A number of ours, between two of a log, is named as the one before it. */
export function formatPosition(epoch: string, number: number, tie?: string): string {
  const place = `${epoch}-${Math.floor(number)}`
  // Not every string can be encoded: half of a surrogate pair can't.
  return tie === undefined ? place : `${place}.${encodeURIComponent(Buffer.from(tie).toString())}`
}

/** What `text` names in this epoch, or undefined where it is malformed or foreign. */
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
 * A number right after `last` for an entry of our own, of which the log knows nothing: above all
 * that there are, and below the log's next one. There is room for some, and then it is `last`.
 */
export function numberBetween(last: number): number {
  const place = Math.floor(last)
  if (place === last) return place + 0.5
  // The next number that a double has.
  const next = last + last * 0.75 * Number.EPSILON
  return next < place + 1 ? next : last
}

/** The greatest number below. */
export function numberBefore(number: number): number {
  return number * (1 - Number.EPSILON / 2)
}

/** Everything through this number has arrived; of a tie, a part of the entry is still to come. */
export function cursorAt({ number, tie }: Position): number {
  return tie === undefined ? number : numberBefore(number)
}

/** Through which number a topic has arrived. */
export function topicCursorAt({ number, tie }: Position, topic: string): number {
  return tie === undefined || topic <= tie ? number : numberBefore(number)
}
