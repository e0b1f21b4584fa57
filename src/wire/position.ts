/**
 * A position as it travels in `id:` and `Last-Event-ID`:
 *
 * - `<epoch>-<number>`. The epoch names the numbering: after a restart numbers begin anew, and
 *   number 7 of yesterday must not be taken for number 7 of today.
 * - `<epoch>-<number>.<topic>` where an entry of a driver's log went to several topics.
 * - either of them with `@<serial>.<through>.<topic>` behind it, in the middle of a replay.
 *
 * Each has its seal behind it, `=` and 11 characters. The application's own code may name one without.
 */
const POSITION =
  /^([^-]+)-(0|[1-9]\d{0,15})(?:\.([^@=]+))?(?:@([1-9]\d{0,8})\.(\d{1,16})\.([^=]+))?(?:=[\w-]{11})?$/

/** A position of no numbering: it is not known what the client has. */
export const UNKNOWN_POSITION = 'unknown-0'

/**
 * How far a client has got older frames of a topic that it asked for, before it goes on with the
 * rest. An example: a client has everything through 9 and subscribes to `a` with its past. The id
 * `x-9@1.5.a` says that it has everything through 9, and of its first replay, which is of `a`, the
 * frames through 5.
 */
export interface ReplayMark {
  /** Which of the client's replays it is, counted from 1. */
  readonly serial: number
  readonly through: number
  readonly topic: string
}

/** A place in a numbering: everything through it has arrived. */
export class Position {
  constructor(
    readonly number: number,
    /**
     * Only where entry `number` goes to several topics and the client has some of them: the last
     * one that it has, in the order of their names. An example: entry 9 goes to `a`, `b` and `c`.
     * A client at `x-9.b` has everything up to 8, and entry 9 of `a` and `b`.
     */
    readonly tie?: string,
    /** Set in the middle of a replay. */
    readonly replay?: ReplayMark,
  ) {}

  /** The number up to which the client has all topics. With a tie it is just below `number`. */
  get cursor(): number {
    return this.tie === undefined ? this.number : numberBefore(this.number)
  }

  /** The number up to which the client has this topic. */
  cursorOf(topic: string): number {
    if (this.replay?.topic === topic) return this.replay.through
    return this.tie === undefined || topic <= this.tie ? this.number : numberBefore(this.number)
  }

  /**
   * Below 0 where this comes before another position, above 0 where it comes after it, apart from
   * replays. An example: 3, then 4 with the tie `a`, 4 with the tie `b`, 4.
   */
  compareTo(other: Position): number {
    const apart = Math.floor(this.number) - Math.floor(other.number)
    if (apart !== 0 || this.tie === other.tie) return apart
    if (this.tie === undefined) return 1
    return other.tie === undefined || this.tie < other.tie ? -1 : 1
  }
}

/** A number of ours, between two of a log, is named as the one before it. */
export function formatPosition(
  epoch: string,
  number: number,
  tie?: string,
  replay?: ReplayMark,
): string {
  const place = `${epoch}-${Math.floor(number)}`
  const tied = tie === undefined ? place : `${place}.${escaped(tie)}`
  if (replay === undefined) return tied
  const { serial, through, topic } = replay
  return `${tied}@${serial}.${Math.floor(through)}.${escaped(topic)}`
}

/** A topic's name as a part of a position. It holds no `@`. */
function escaped(topic: string): string {
  // Not every string can be encoded: half of a surrogate pair can't.
  return encodeURIComponent(Buffer.from(topic).toString())
}

/** The position of a text, or undefined if it is malformed or of another epoch. */
export function parsePosition(epoch: string, text: string): Position | undefined {
  const match = POSITION.exec(text)
  if (match === null || match[1] !== epoch) return undefined
  const number = Number(match[2])
  if (!Number.isSafeInteger(number)) return undefined
  const [, , , tie, serial, through, topic] = match
  try {
    return new Position(
      number,
      tie === undefined ? undefined : decodeURIComponent(tie),
      topic === undefined
        ? undefined
        : { serial: Number(serial), through: Number(through), topic: decodeURIComponent(topic) },
    )
  } catch {
    return undefined
  }
}

/** The greatest double below `number`. */
export function numberBefore(number: number): number {
  return number * (1 - Number.EPSILON / 2)
}
