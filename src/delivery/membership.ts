import type { Position } from '../wire/position.js'
import type { Client } from './client.js'
import type { Topic } from './topic.js'

/** Older frames of a topic that are still to be sent to a client. */
export interface Rewind {
  /** The frames after this number. It rises as they are sent. */
  from: number
  /**
   * Whether a hole in them is a loss, because the client named the position. Where a number of
   * messages was asked for, the client is content with what there is.
   */
  readonly exact: boolean
}

/**
 * One client's subscription to one topic: from where on the topic's frames are the client's, and
 * which losses it has been told of.
 *
 * An example: a client whose cursor is 7 subscribes to a topic when the newest frame is 10. Then
 * `since` is 10: of this topic it gets frame 11 and those after it. With `rewind: 2` it is also sent
 * the topic's last two frames up to 10.
 *
 * A loss goes through three states: to be told, told, and known.
 *
 * ```text
 *   to be told ──tellLoss(cursor)──▶ told ──the client names a later position──▶ known
 *        ▲                            │
 *        └───────── doubt ────────────┘   the client names the cursor of then, or an earlier one
 * ```
 *
 * A message may be lost on its way, so a client that comes back from where it was told is told
 * again. It may be told twice; it is never left untold.
 */
export class Membership {
  /** Its place in {@link Topic.members}; -1 where it is in none. {@link Topic} sets it. */
  index = -1
  protected starts: number
  private ends: number | undefined = undefined
  private older: Rewind | undefined = undefined
  private told: { at: number; through: number } | undefined = undefined

  constructor(
    readonly client: Client,
    readonly topic: Topic,
    since: number,
  ) {
    this.starts = since
  }

  /** The topic's frames are the client's from after this number on. */
  get since(): number {
    return this.starts
  }

  /** The number of the failure that ended it, or undefined while it is in force. */
  get endedAt(): number | undefined {
    return this.ends
  }

  /** Older frames that come first, or undefined where there are none. */
  get rewind(): Rewind | undefined {
    return this.older
  }

  /** Whether nothing can be sent before the broker has opened the topic. */
  get awaits(): boolean {
    return false
  }

  /** What the client has of this topic, or will never get, when its cursor is at `cursor`. */
  floor(cursor: number): number {
    return Math.max(cursor, this.starts, this.told?.through ?? 0)
  }

  /** Where an exact rewind goes on. */
  rewoundThrough(rewind: Rewind): number {
    return Math.max(rewind.from, this.told?.through ?? 0)
  }

  /** Whether the client has missed something that it has not been told of. */
  hasLoss(cursor: number): boolean {
    return this.floor(cursor) < this.topic.history.lostThrough
  }

  /** Frames after `from`, up to `since`, are sent first. */
  rewindTo(from: number, { exact }: { exact: boolean }): void {
    this.older = { from, exact }
  }

  /** What a rewind asked for has been sent through this number; the rest counts from there. */
  endRewind(through: number): void {
    this.older = undefined
    this.starts = through
  }

  /**
   * The position from which it should count can't be found in the numbering.
   *
   * @returns whether it counts from an older place than now.
   */
  misplace(): boolean {
    return false
  }

  /**
   * Another server has given it the position from which it counts.
   *
   * @returns whether it counts from an older place than now.
   */
  continueAfter(_position: Position | undefined): boolean {
    return this.misplace()
  }

  /** It counts from an older place than now, and the topic may not be open yet. */
  awaitOpening(): void {
    // Without a log, no older frames come with the opening.
  }

  /** The client is told of what is lost here, in a message right after `cursor`. */
  tellLoss(cursor: number): void {
    this.told = { at: cursor, through: this.topic.history.lostThrough }
  }

  /** The client comes back at a cursor: a loss that was told after it is to be told again. */
  doubt(cursor: number): void {
    if (this.told !== undefined && cursor <= this.told.at) this.told = undefined
  }

  /** The client, whose cursor is at `cursor`, has everything of this topic through `arrived`. */
  resume(arrived: number, cursor: number): void {
    if (arrived > cursor) this.starts = Math.max(this.starts, arrived)
  }

  /** The client is told that everything up to `cursor` may be missing. */
  startAnew(cursor: number): void {
    // What was to come after a rewind comes with it, or it would be missing behind the rewind.
    if (this.older !== undefined) this.starts = cursor
  }

  /** The broker has ended it, which stands in the history as this number. */
  endAt(number: number): void {
    this.ends = number
  }

  /** It counts from after this number at the earliest. */
  startAfter(number: number): void {
    this.starts = Math.max(this.starts, number)
  }

  /** It counts from after another number; nothing that it was told counts any more. */
  restart(number: number): void {
    this.starts = number
    this.told = undefined
    this.older = undefined
  }

  /** An entry with this number is still to come, though the client may stand behind it. */
  reopen(number: number, before: number): void {
    this.client.moveBack(before)
    this.starts = Math.min(this.starts, before)
    if (this.told !== undefined && this.told.through >= number) this.told = undefined
  }
}
