import type { Frame } from '../wire/frame.js'

/** What a key takes beside its text: its place in a map. */
const KEY_OVERHEAD = 96

/** The bytes that the last values of all topics may take together. */
export class KeptBudget {
  private bytes = 0
  /** In the order in which they were last added to. */
  private readonly all = new Set<Kept>()

  constructor(
    /** Infinity: no bound. */
    private readonly maxBytes: number,
  ) {}

  /** @internal A topic's last values have grown or shrunk. */
  changed(kept: Kept, by: number): void {
    this.bytes += by
    if (by > 0) {
      this.all.delete(kept)
      this.all.add(kept)
    }
    if (kept.size === 0) this.all.delete(kept)
  }

  /** Lets go of what is over the bound: of a topic with more than its share first, then of the quietest. */
  enforce(latest: Kept): void {
    while (latest.bytes > this.maxBytes / 4 && latest.size > 0) latest.letGo()
    for (const kept of this.all) {
      while (this.bytes > this.maxBytes && kept.size > 0) kept.letGo()
      if (this.bytes <= this.maxBytes) return
    }
  }
}

/**
 * The last values of a topic: its last frames, or the newest of each key. They are the history's own
 * frames, which stay here when the history lets them go.
 *
 * Where one of them may be missing (a gap, no room, a key that could not be had), whoever is sent them
 * is told `messages-lost` behind them.
 */
export class Kept {
  /** In order of number; without keys, each is its own. */
  private readonly frames = new Map<string | number, Frame>()
  private cost = 0
  private missing = -1

  constructor(
    private readonly most: number,
    private readonly keyed: boolean,
    private readonly budget: KeptBudget,
    /** Nothing is left of it, for lack of room. */
    private readonly emptied: () => void,
  ) {}

  get size(): number {
    return this.frames.size
  }

  get bytes(): number {
    return this.cost
  }

  /** Whether something may be missing among them. */
  get lacks(): boolean {
    return this.missing >= 0
  }

  /** Those through this number, oldest first. */
  through(number: number): Frame[] {
    return [...this.frames.values()].filter((frame) => frame.number <= number)
  }

  /** @param key Undefined where the newest message counts for itself. */
  take(frame: Frame, key?: string): void {
    const place = key ?? frame.number
    const before = this.frames.get(place)
    if (before !== undefined) this.drop(place, before)
    this.frames.set(place, frame)
    this.grow(costOf(place, frame))
    if (this.frames.size > this.most) this.dropOldest()
    this.budget.enforce(this)
    // Every one of the last n came after the loss, so none of them is missing.
    if (!this.keyed && this.frames.size === this.most && this.oldest > this.missing)
      this.missing = -1
  }

  /** Messages through this number may be missing. */
  miss(number: number): void {
    this.missing = number
  }

  /** Lets the oldest go, for lack of room. */
  letGo(): void {
    this.missing = Math.max(this.missing, this.oldest)
    this.dropOldest()
    if (this.frames.size === 0) this.emptied()
  }

  /** Lets all go. */
  clear(): void {
    this.frames.clear()
    this.missing = -1
    this.grow(-this.cost)
  }

  private get oldest(): number {
    const frame = this.frames.values().next().value
    return frame === undefined ? -1 : frame.number
  }

  private dropOldest(): void {
    const first = this.frames.entries().next().value
    if (first !== undefined) this.drop(...first)
  }

  private drop(place: string | number, frame: Frame): void {
    this.frames.delete(place)
    this.grow(-costOf(place, frame))
  }

  private grow(by: number): void {
    this.cost += by
    this.budget.changed(this, by)
  }
}

function costOf(place: string | number, frame: Frame): number {
  return frame.cost + KEY_OVERHEAD + (typeof place === 'string' ? place.length * 2 : 0)
}
