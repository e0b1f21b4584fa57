import type { Frame } from '../../wire/frame.js'
import { BATCH_BYTES } from '../../wire/frame.js'
import type { Wants } from '../history.js'
import type { LogMembership } from './membership.js'

/**
 * A part of a driver's log, read for clients that are behind what the history still has: the entries
 * of some topics after one number and through another.
 */
export class LogSegment {
  constructor(
    readonly after: number,
    readonly through: number,
    /** Entries after `after` and through these numbers are no longer in the log, by topic. */
    private readonly lost: ReadonlyMap<string, number>,
    private readonly topics: ReadonlyMap<string, readonly Frame[]>,
  ) {}

  /** Through which number entries of a topic are no longer in the log. */
  lostThrough(topic: string): number {
    return this.lost.get(topic) ?? 0
  }

  /** Whether it has the entries of a topic that come next after `number`. */
  covers(topic: string, number: number): boolean {
    return number >= this.after && number < this.through && this.topics.has(topic)
  }

  /** Frames of a topic after one number and through another one, up to one batch. */
  some({ topic, wants }: LogMembership, after: number, through: number): Frame[] {
    const taken = new Taking(through, wants)
    for (const frame of this.topics.get(topic.name) ?? []) {
      if (frame.number > after && !taken.add(frame)) break
    }
    return taken.frames
  }

  /**
   * The next frames of a subscription after `floor`, up to one batch. Entries that both have are
   * taken from the segment: its `id:` names all topics of an entry, also one that was opened here
   * after the history had got the entry. The history adds what the segment lacks, and the entries of
   * our own (gaps, failures), which stand in no log.
   */
  next({ topic, endedAt = Infinity, wants }: LogMembership, floor: number, limit: number): Frame[] {
    const { history, name } = topic
    const taken = new Taking(Math.min(limit, endedAt), wants)
    const mine = this.topics.get(name) ?? []
    const lost = Math.max(floor, this.after, this.lostThrough(name))
    const from = this.topics.has(name) ? lost : Infinity
    let at = 0
    for (let index = history.indexAfter(floor); ; index++) {
      const kept = history.at(index)
      for (; at < mine.length; at++) {
        const frame = mine[at]!
        if (frame.number <= from) continue
        if (kept !== undefined && frame.number > kept.number) break
        if (!taken.add(frame)) return taken.frames
      }
      if (kept === undefined) return taken.frames
      const double = kept.number > from && kept.number <= this.through
      if (double && Number.isInteger(kept.number)) continue
      if (!taken.add(kept)) return taken.frames
    }
  }
}

/** Takes frames up to a number, until they fill a batch. */
class Taking {
  readonly frames: Frame[] = []
  private size = 0

  constructor(
    private readonly through: number,
    /** Which are sent, where a filter says so. */
    private readonly wants: Wants | undefined,
  ) {}

  /** @returns whether it takes more. What it did not take is not needed. */
  add(frame: Frame): boolean {
    const { frames } = this
    if (frame.number > this.through) return false
    if (this.wants?.(frame) === false) return true
    // All of one number, of which no batch holds a part.
    if (this.size >= BATCH_BYTES && frame.number !== frames.at(-1)!.number) return false
    frames.push(frame)
    this.size += frame.length
    return true
  }
}
