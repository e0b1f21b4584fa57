/**
 * A position as it travels in `id:` and `Last-Event-ID`: `<epoch>-<number>`, or, where an entry
 * of a driver's log went to several topics, `<epoch>-<number>.<topic>`. The epoch names the
 * numbering: after a restart numbers begin anew, and number 7 of yesterday must not be taken for
 * number 7 of today.
 */
const POSITION = /^([^-]+)-(0|[1-9]\d{0,15})(?:\.(.+))?$/

/** A position that no server knows: nothing is known of what the client has. */
export const UNKNOWN_POSITION = 'unknown-0'

/** A place in a numbering: everything through it has arrived. */
export class Position {
  constructor(
    readonly number: number,
    /**
     * The entry with this number went to several topics, and only those up to this one, in the
     * order of their names, have arrived. An example: entry 9 went to `a`, `b` and `c`. The id
     * `x-9.b` says that a client has everything through 8, and of 9 what went to `a` and `b`.
     */
    readonly tie?: string,
  ) {}

  /** Everything through this number has arrived, in all topics. */
  get cursor(): number {
    return this.tie === undefined ? this.number : numberBefore(this.number)
  }

  /** Everything of this topic through this number has arrived. */
  cursorOf(topic: string): number {
    return this.tie === undefined || topic <= this.tie ? this.number : numberBefore(this.number)
  }
}

/** A number of ours, between two of a log, is named as the one before it. */
export function formatPosition(epoch: string, number: number, tie?: string): string {
  const place = `${epoch}-${Math.floor(number)}`
  // Not every string can be encoded: half of a surrogate pair can't.
  return tie === undefined ? place : `${place}.${encodeURIComponent(Buffer.from(tie).toString())}`
}

/** The position that a text names in this epoch, or undefined where it is malformed or foreign. */
export function parsePosition(epoch: string, text: string): Position | undefined {
  const match = POSITION.exec(text)
  if (match === null || match[1] !== epoch) return undefined
  const number = Number(match[2])
  if (!Number.isSafeInteger(number)) return undefined
  if (match[3] === undefined) return new Position(number)
  try {
    return new Position(number, decodeURIComponent(match[3]))
  } catch {
    return undefined
  }
}

/** The greatest number below. */
export function numberBefore(number: number): number {
  return number * (1 - Number.EPSILON / 2)
}
