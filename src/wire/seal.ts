import { hash, timingSafeEqual } from 'node:crypto'

/** Positions of one slice of time are sealed as given out at its beginning. In milliseconds. */
const SLICE = 10_000
/** How much older than {@link Seal.ageOf} says a position may be, in milliseconds. */
export const SEAL_SLACK = 2 * SLICE
/** After so many slices, about 194 days, their names begin anew. */
const SLICES = 36 ** 4
const TAG_LENGTH = 7
const SEALED = /^(.+)=([0-9a-z]{4})([\w-]{7})$/

/**
 * Signs positions, so that a request can't make one up, and says when they were given out.
 *
 * An example: `4f0c62a1b9-1284=q8zk3JvPq0x` is position `4f0c62a1b9-1284`, given out in slice `q8zk` of
 * time. The rest is the tag, 42 bits of a keyed hash over both.
 *
 * A frame's position is sealed once, for all clients that get it.
 */
export class Seal {
  private slice = -1
  private name = ''

  /** @param key Whoever has it can make positions: random text, or a secret that servers share. */
  constructor(private readonly key: string) {}

  /** The position with its seal. */
  on(position: string): string {
    const slice = sliceNow()
    if (slice !== this.slice) {
      this.slice = slice
      this.name = slice.toString(36).padStart(4, '0')
    }
    return `${position}=${this.name}${this.tag(position, this.name)}`
  }

  /**
   * How long ago a position was given out, in milliseconds; up to a slice less. Undefined if it has
   * no seal of this key.
   */
  ageOf(text: string): number | undefined {
    const [, position = '', name = '', tag] = SEALED.exec(text) ?? []
    if (tag === undefined) return undefined
    if (!timingSafeEqual(Buffer.from(tag), Buffer.from(this.tag(position, name)))) return undefined
    const ago = (sliceNow() - Number.parseInt(name, 36) + SLICES) % SLICES
    // The clock of the server that sealed it may be ahead of ours.
    return ago > SLICES / 2 ? 0 : Math.max(0, ago - 1) * SLICE
  }

  private tag(position: string, slice: string): string {
    // A hash that is cut says nothing of its inner state, so nobody can go on with it.
    return hash('sha256', `${this.key} ${slice} ${position}`, 'base64url').slice(0, TAG_LENGTH)
  }
}

function sliceNow(): number {
  return Math.floor(Date.now() / SLICE) % SLICES
}
