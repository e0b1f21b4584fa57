import { randomBytes } from 'node:crypto'
import type { Position, ReplayMark } from '../wire/position.js'
import { formatPosition, parsePosition } from '../wire/position.js'
import { Seal } from '../wire/seal.js'

/**
 * Names the numbers of frames for `id:`. One counter of this process numbers the frames of all
 * topics; its epoch is made anew with each process, since nothing outlives it.
 */
export class Numbering {
  constructor(
    /** Names the counter, in letters and digits. */
    protected epoch = randomBytes(5).toString('hex'),
    protected seal = new Seal(randomKey()),
  ) {}

  format(number: number, tie?: string, replay?: ReplayMark): string {
    return this.seal.on(formatPosition(this.epoch, number, tie, replay))
  }

  /** How long ago a position was given out, in milliseconds; undefined where it was made up. */
  ageOf(text: string): number | undefined {
    return this.seal.ageOf(text)
  }

  /** The position that a text names, or undefined where it is malformed or foreign. */
  parse(text: string): Position | undefined {
    const position = parsePosition(this.epoch, text)
    return position?.tie === undefined ? position : undefined
  }
}

export function randomKey(): string {
  return randomBytes(32).toString('base64url')
}
