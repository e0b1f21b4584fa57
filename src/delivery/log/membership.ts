import type { Position } from '../../wire/position.js'
import type { Client } from '../client.js'
import type { Parse } from '../membership.js'
import { Membership } from '../membership.js'
import type { LogTopic } from './topic.js'

/** A client's subscription to a topic of a driver's log. */
export class LogMembership extends Membership {
  declare readonly topic: LogTopic
  /**
   * True until the client has been sent `messages-lost` for a gap that this server had before
   * `since`.
   */
  private misses = false
  /** The client's cursor when that was sent. A client that resumes at or before it is told again. */
  private missesToldAt = -1
  private waits = false
  /** It comes from another server, and no stream of the client's has begun here yet. */
  private moved = false
  /** A position after which it counts, in a log that this server does not know yet. */
  private foreign: string | undefined = undefined

  constructor(client: Client, topic: LogTopic, since: number) {
    super(client, topic, since)
  }

  /** Whether it counts from a place in the log that the topic is still to be opened at. */
  override get awaits(): boolean {
    return this.waits
  }

  override hasLoss(cursor: number): boolean {
    return this.misses || super.hasLoss(cursor)
  }

  /**
   * Whether the client may still have to be told of a loss, which another server would know nothing
   * of. What it was told counts once it has named a later position.
   */
  get isUncertain(): boolean {
    return this.misses || this.missesToldAt >= 0
  }

  /** After which number it lacks entries that can be read again, or undefined where it lacks none. */
  lacksAfter(cursor: number): number | undefined {
    const { history } = this.topic
    const floor = this.lowest(cursor)
    return floor < history.evictedThrough && floor >= history.lostThrough ? floor : undefined
  }

  override misplace(): boolean {
    // By the time the client connects, the log may have been made anew, and say nothing of it.
    this.misses = true
    return false
  }

  override continueAfter(since: string | null, parse: Parse): boolean {
    const position = since === null ? undefined : parse(since)
    this.moved = true
    if (position === undefined) {
      this.foreign = since ?? undefined
      return this.misplace()
    }
    this.starts = position.number
    return true
  }

  override mayLackKept(named: Position): boolean {
    if (!this.moved) return false
    this.moved = false
    const { kept, topic, client, since } = this
    const values = topic.keeping?.kept?.through(since) ?? []
    if (kept !== undefined || values.length === 0) return false
    // They come before all that follows the subscription, and the id of the last of them says so.
    const isAfter = named.cursorOf(topic.name) > since
    const isBehind = (named.replay?.through ?? -1) >= Math.floor(since)
    if (!this.misses && (isAfter || isBehind)) return false
    // Who has had no stream yet lacks nothing by that.
    if (client.acknowledged < Infinity) this.misses = true
    return true
  }

  /** The log that this server reads was made anew: is it the one that `continueAfter` named? */
  findAgain(parse: Parse): void {
    const position = this.foreign === undefined ? undefined : parse(this.foreign)
    if (position !== undefined) this.starts = Math.max(this.starts, position.number)
    this.foreign = undefined
  }

  override awaitOpening(): void {
    this.waits = !this.topic.isOpen
  }

  /** The broker has opened the topic, whose entries come after `from`. */
  opened(from: number): void {
    const older = this.waits && this.replay === undefined
    if (!older) this.startAfter(from)
    this.waits = false
  }

  override tellLoss(cursor: number, through?: number): void {
    super.tellLoss(cursor, through)
    if (this.misses) this.missesToldAt = cursor
    this.misses = false
  }

  override doubt(cursor: number): void {
    super.doubt(cursor)
    if (cursor <= this.missesToldAt) this.misses = true
    this.missesToldAt = -1
  }

  override resume(named: Position): void {
    super.resume(named)
    this.misses ||= this.topic.history.misses(this.lowest(this.client.cursor))
  }

  override startAnew(cursor: number): void {
    super.startAnew(cursor)
    this.misses = false
  }

  override endAt(number: number): void {
    super.endAt(number)
    this.waits = false
  }

  override restart(number: number): void {
    super.restart(number)
    this.missesToldAt = -1
    this.waits = false
  }

  /** What the client has, or will never get, before what a replay is still to bring. */
  private lowest(cursor: number): number {
    const { replay } = this
    return replay === undefined ? this.floor(cursor) : this.replayedThrough(replay)
  }
}
