import type { Frame } from '../../wire/frame.js'
import { TopicHistory } from '../history.js'

/** The frames of a topic of a driver's log. What was let go can be read again, from the log. */
export class LogTopicHistory extends TopicHistory {
  /** The number of the topic's end, which whoever lacks it is told behind what is read again. */
  endsAt: number | undefined = undefined
  private lost = -1
  /** Between these numbers this server may have missed entries that other servers have. */
  private missed = { from: Infinity, through: 0 }

  override get lostThrough(): number {
    return this.lost
  }

  /** What was let go through this number can't be read again. */
  lose(number: number): void {
    this.lost = Math.max(this.lost, Math.min(number, this.evicted))
  }

  /** Entries may be missing between these numbers. */
  miss(from: number, through: number): void {
    const { missed } = this
    this.missed = { from: Math.min(missed.from, from), through: Math.max(missed.through, through) }
  }

  /** Whether entries may be missing after a number, without an entry that says so. */
  misses(number: number): boolean {
    return number >= this.missed.from && number < this.missed.through
  }

  /** The topic is read from after this number on. */
  beginAfter(number: number): void {
    this.evicted = Math.max(this.evicted, number)
  }

  /** An entry of ours comes after this number, though the topic may begin behind it. */
  reopen(before: number): void {
    this.evicted = Math.min(this.evicted, before)
  }

  /** Counts from another number on, with no frames. */
  restart(after: number): void {
    this.evicted = after
    this.lost = -1
    this.endsAt = undefined
    this.missed = { from: Infinity, through: 0 }
  }

  override shift(): Frame | undefined {
    const frame = super.shift()
    // An entry of our own stands in no log.
    const isOurs = frame !== undefined && !Number.isInteger(frame.number)
    if (isOurs && frame.number !== this.endsAt) this.lose(frame.number)
    return frame
  }
}
