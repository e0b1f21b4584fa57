import type { Client } from './client.js'
import type { Topic } from './topic.js'

/** One client's subscription to one topic: from where on the topic's frames are its own. */
export class Membership {
  /** Its place in {@link Topic.members}. */
  index = -1
  /** The number of the failure that ended it, or undefined while it is in force. */
  endedAt: number | undefined = undefined
  /**
   * Frames up to `since` that are still to be sent, without `id:` where they are older than the
   * client's cursor: from after `from` on. `exact` where a hole in them is a loss (the client
   * named the position), and not just as much as the history has.
   */
  rewind: { from: number; exact: boolean } | undefined = undefined
  /**
   * That the client was told of a loss through `through`, in a message right after `at`. It has
   * surely got that message only once it names a position beyond `at`.
   */
  told: { at: number; through: number } | undefined = undefined
  /** Whether it begins where this server may have missed something, and has not been told. */
  misses = false
  /** After which number it was last told so. */
  missesToldAt = -1
  /** Whether it counts from a place in a log that is older than the topic, which is being opened. */
  awaits = false

  constructor(
    readonly client: Client,
    readonly topic: Topic,
    /** The topic's frames count from after this number. */
    public since: number,
  ) {}

  /** What the client has of this topic, or will never get, when its cursor is at `cursor`. */
  floor(cursor: number): number {
    return Math.max(cursor, this.since, this.told?.through ?? 0)
  }

  /** The same, before what a rewind from a position is still to bring. */
  lowest(cursor: number): number {
    if (this.rewind?.exact !== true) return this.floor(cursor)
    return Math.max(this.rewind.from, this.told?.through ?? 0)
  }

  /** From after which number it lacks what the history let go, or undefined where it lacks none. */
  lacksAfter(cursor: number): number | undefined {
    const { log } = this.topic
    const floor = this.lowest(cursor)
    return floor < log.evictedThrough && floor >= log.lostThrough ? floor : undefined
  }
}
