/**
 * A position as `id:` and `Last-Event-ID` carry it: `<epoch>-<number>`, or with a tie
 * `<epoch>-<number>.<topic>`. The epoch names the numbering. Numbers begin anew after a restart,
 * and number 7 from before the restart is another message than number 7 from after it.
 */
const POSITION = /^([^-]+)-(0|[1-9]\d{0,15})(?:\.(.+))?$/

/** A position of no numbering: it is not known what the client has. */
export const UNKNOWN_POSITION = 'unknown-0'

/** A client's place in a numbering: it has all entries up to `number`. */
export class Position {
  constructor(
    readonly number: number,
    /**
     * Only where entry `number` goes to several topics and the client has some of them: the last
     * one that it has, in the order of their names. An example: entry 9 goes to `a`, `b` and `c`.
     * A client at `x-9.b` has everything up to 8, and entry 9 of `a` and `b`.
     */
    readonly tie?: string,
  ) {}

  /** The number up to which the client has all topics. With a tie it is just below `number`. */
  get cursor(): number {
    return this.tie === undefined ? this.number : numberBefore(this.number)
  }

  /** The number up to which the client has this topic. */
  cursorOf(topic: string): number {
    return this.tie === undefined || topic <= this.tie ? this.number : numberBefore(this.number)
  }
}

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
  if (match[3] === undefined) return new Position(number)
  try {
    return new Position(number, decodeURIComponent(match[3]))
  } catch {
    return undefined
  }
}

/** The greatest double below `number`. */
export function numberBefore(number: number): number {
  return number * (1 - Number.EPSILON / 2)
}
