import type { Encoded } from '../wire/encode.js'
import type { FrameList } from '../wire/frame.js'
import { Frame } from '../wire/frame.js'
import { Ages } from './ages.js'

/** The bounds of a history. */
export interface HistoryBounds {
  /** Bytes over all topics, each frame with its overhead. */
  maxBytes: number
  /** Bytes of any one topic. */
  maxBytesPerTopic: number
  /** Milliseconds that a frame is kept at the most. */
  maxAge: number
}

/** Whether a client is sent a frame. */
export type Wants = (frame: Frame) => boolean

/** The frames that one topic still has, in order of number: a ring that grows by doubling. */
export class TopicHistory implements FrameList {
  /** What its frames cost together. */
  bytes = 0
  /** The most that they may cost; undefined: what holds for all topics. */
  maxBytes: number | undefined = undefined
  /** How old they become, in milliseconds; undefined: what holds for all topics. Set before the first. */
  maxAge: number | undefined = undefined
  protected evicted: number
  private ring: (Frame | undefined)[] = new Array<Frame | undefined>(8)
  private head = 0
  private count = 0

  constructor(
    /** Its first frame comes after this number. */
    readonly startsAfter: number,
    readonly name = '',
  ) {
    this.evicted = startsAfter
    this.evictedNewest = startsAfter
  }

  /** The newest frame of each key, where the topic is conflated. */
  private newest: Map<string, Frame> | undefined = undefined
  private evictedNewest = 0

  /** A frame is the newest of its key. */
  supersede(key: string, frame: Frame): void {
    this.newest ??= new Map()
    const before = this.newest.get(key)
    if (before !== undefined) {
      before.superseded = true
      before.key = undefined
    }
    frame.key = key
    this.newest.set(key, frame)
  }

  /** Through which number frames were let go that no newer one of their key had followed. */
  get newestEvictedThrough(): number {
    return this.evictedNewest
  }

  /** Through which number a client that conflates has lost something when the history let it go. */
  get newestLostThrough(): number {
    return Math.min(this.lostThrough, this.evictedNewest)
  }

  /** The index of the first frame from `index` on that a client is sent. */
  wanted(index: number, conflates: boolean, wants?: Wants): number {
    let at = index
    if (!conflates && wants === undefined) return at
    for (let frame = this.at(at); frame !== undefined; frame = this.at(++at)) {
      const isSkipped = conflates && frame.superseded
      if (!isSkipped && wants?.(frame) !== false) break
    }
    return at
  }

  /** The number of the last frame that was let go, or the history's number at the start. */
  get evictedThrough(): number {
    return this.evicted
  }

  /** Through this number, what was let go is lost for good. */
  get lostThrough(): number {
    return this.evicted
  }

  get length(): number {
    return this.count
  }

  /** The frame at `index`, counted from the oldest. */
  at(index: number): Frame | undefined {
    return index < this.count ? this.ring[(this.head + index) & (this.ring.length - 1)] : undefined
  }

  push(frame: Frame): void {
    if (this.count === this.ring.length) this.grow()
    this.ring[(this.head + this.count) & (this.ring.length - 1)] = frame
    this.count++
    this.bytes += frame.cost
  }

  /** Lets the oldest frame go. */
  shift(): Frame | undefined {
    const frame = this.ring[this.head]
    if (this.count === 0 || frame === undefined) return undefined
    this.ring[this.head] = undefined
    this.head = (this.head + 1) & (this.ring.length - 1)
    this.count--
    this.bytes -= frame.cost
    this.evicted = frame.number
    if (!frame.superseded) this.evictedNewest = frame.number
    if (frame.key !== undefined) this.newest?.delete(frame.key)
    return frame
  }

  /** The index of the first frame whose number is above `number`. */
  indexAfter(number: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.at(middle)!.number > number) high = middle
      else low = middle + 1
    }
    return low
  }

  /** The number of the last frame that arrived before a time, by the clock, or was let go. */
  lastBefore(time: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.at(middle)!.time >= time) high = middle
      else low = middle + 1
    }
    return this.numberAt(low)
  }

  /** The number before the last `count` frames. */
  beforeLast(count: number): number {
    return this.numberAt(Math.max(0, this.count - count))
  }

  /** The number before the frame at an index. */
  private numberAt(index: number): number {
    return index === 0 ? this.evictedThrough : this.at(index - 1)!.number
  }

  private grow(): void {
    const larger = new Array<Frame | undefined>(this.ring.length * 2)
    for (let i = 0; i < this.count; i++) larger[i] = this.at(i)
    this.ring = larger
    this.head = 0
  }
}

/**
 * The frames of all topics, numbered by one counter and bounded in bytes and in age.
 *
 * Frames stand in two orders. Each topic's own ring serves reading. One list over all topics
 * serves letting go: the oldest frame of all is its head, and is also the oldest of its topic,
 * so every eviction takes constant time. A topic over its own bound takes its frame out of the
 * middle of that list, and its bytes are free at once.
 */
export class History {
  /** The number of the newest frame. */
  last = 0
  /** What all frames cost together. */
  bytes = 0
  /** How many frames there are. */
  frames = 0
  /** How often a frame was added, or a topic's frames dropped. */
  changes = 0
  /** Frames that were let go because of a bound. */
  evictions = 0
  private readonly ages: Ages
  private oldest: Frame | null = null
  private newest: Frame | null = null

  constructor(
    private readonly bounds: HistoryBounds,
    /**
     * Called with a frame that is about to be let go for lack of room, so that those who keep
     * up can be given it first: an eviction may only ever hurt clients that are behind.
     */
    private readonly beforeEviction: (frame: Frame) => void,
  ) {
    this.ages = new Ages(bounds.maxAge)
  }

  /**
   * Gives the next number, or this one, to what `encode` makes for it, and keeps it. The caller
   * hands the frame to the clients that wait for it, and then calls {@link enforce}.
   */
  append(
    topic: TopicHistory,
    now: number,
    encode: (number: number) => Encoded,
    number = this.last + 1,
    message?: string | Uint8Array,
  ): Frame {
    const frame = new Frame(number, encode(number), now, topic)
    frame.message = message
    this.last = number
    this.changes++
    topic.push(frame)
    frame.previous = this.newest
    if (this.newest !== null) this.newest.next = frame
    else this.oldest = frame
    this.newest = frame
    this.ages.add(frame)
    this.bytes += frame.cost
    this.frames++
    return frame
  }

  /** Lets go of what is over the bounds in bytes, after a topic has grown. */
  enforce(topic: TopicHistory): void {
    const most = topic.maxBytes ?? this.bounds.maxBytesPerTopic
    while (topic.bytes > most) this.evict(topic.at(0)!)
    while (this.bytes > this.bounds.maxBytes) this.evict(this.oldest!)
  }

  /** Lets go of what is too old. Returns when to call again, or undefined when nothing is left. */
  expire(now: number): number | undefined {
    for (let frame = this.ages.tooOld(now); frame !== undefined; frame = this.ages.tooOld(now)) {
      this.evict(frame)
    }
    return this.ages.due
  }

  /** Lets go of a whole topic. */
  drop(topic: TopicHistory): void {
    this.changes++
    for (let frame = topic.shift(); frame !== undefined; frame = topic.shift()) this.unlink(frame)
  }

  private evict(frame: Frame): void {
    this.beforeEviction(frame)
    frame.list.shift()
    this.unlink(frame)
    this.evictions++
  }

  private unlink(frame: Frame): void {
    if (frame.previous !== null) frame.previous.next = frame.next
    else this.oldest = frame.next
    if (frame.next !== null) frame.next.previous = frame.previous
    else this.newest = frame.previous
    frame.previous = null
    frame.next = null
    this.ages.remove(frame)
    this.bytes -= frame.cost
    this.frames--
  }
}
