import type { Frame } from '../wire/frame.js'

/** Frames that may become equally old, in order of time: linked, so that each goes in constant time. */
interface Chain {
  readonly maxAge: number
  oldest: Frame | null
  newest: Frame | null
}

/**
 * Which frame is too old next. Topics may differ in how old their frames become, so there is one chain for
 * each such age, and the first frame of each is the one to look at.
 */
export class Ages {
  private readonly usual: Chain
  private readonly chains: Chain[]

  /** @param maxAge In milliseconds, for topics without an age of their own. */
  constructor(maxAge: number) {
    this.usual = { maxAge, oldest: null, newest: null }
    this.chains = [this.usual]
  }

  add(frame: Frame): void {
    const chain = this.of(frame)
    frame.older = chain.newest
    if (chain.newest !== null) chain.newest.younger = frame
    else chain.oldest = frame
    chain.newest = frame
  }

  remove(frame: Frame): void {
    const chain = this.of(frame)
    if (frame.older !== null) frame.older.younger = frame.younger
    else chain.oldest = frame.younger
    if (frame.younger !== null) frame.younger.older = frame.older
    else chain.newest = frame.older
    frame.older = null
    frame.younger = null
  }

  /** A frame that is too old, or undefined where there is none. */
  tooOld(now: number): Frame | undefined {
    for (const { oldest, maxAge } of this.chains) {
      if (oldest !== null && oldest.time + maxAge <= now) return oldest
    }
    return undefined
  }

  /** When the next frame becomes too old; undefined where there is none. */
  get due(): number | undefined {
    let due = Infinity
    for (const { oldest, maxAge } of this.chains) {
      if (oldest !== null) due = Math.min(due, oldest.time + maxAge)
    }
    return due === Infinity ? undefined : due
  }

  private of({ list: { maxAge } }: Frame): Chain {
    if (maxAge === undefined) return this.usual
    // There are as many ages as entries of `topics` name: a few.
    let chain = this.chains.find((other) => other.maxAge === maxAge)
    if (chain === undefined) this.chains.push((chain = { maxAge, oldest: null, newest: null }))
    return chain
  }
}
