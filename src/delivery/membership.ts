import type { Position, ReplayMark } from '../wire/position.js'
import type { Client } from './client.js'
import type { KeptReplay } from './kept-replay.js'
import { sendEndLast } from './kept-replay.js'
import type { Frame } from '../wire/frame.js'
import type { Wants } from './history.js'
import type { Topic } from './topic.js'

/** Finds the position that a text names in the numbering. */
export type Parse = (text: string) => Position | undefined

/**
 * A replay: frames of a topic from before the client's cursor, which are sent before all others.
 *
 * An example: a client whose cursor is 9 subscribes to a topic that has frames 3, 5 and 12, with its
 * past. It is sent 3 and 5 with the ids `x-9@1.3.a` and `x-9@1.5.a`, and then 12 with `x-12`. Cut
 * behind 3 it names `x-9@1.3.a`, and goes on with 5. The replay is known to be complete once the
 * client names a number above 9, or a later replay.
 */
export interface Replay {
  /** Which of the client's replays it is, counted from 1. */
  readonly serial: number
  /** The frames after this number. */
  readonly from: number
  /** The topic's frames counted from after this number when it was asked for. */
  readonly since: number
  /** Where the client stands while it is sent; undefined before it begins. */
  at: Position | undefined
  /** It has been written through this number. */
  through: number
  /** Whether something may be left to send. */
  active: boolean
}

/** How a request came by a topic. */
export interface Grant {
  /**
   * `given`: by the server's `topics` of `autoClient`. `named`: the address names it. `added`: by
   * `subscriptions`, so it lasts whatever the address names.
   */
  readonly how: 'given' | 'named' | 'added'
  /** Which `authorize` of the middleware's allowed it; undefined where none was asked. */
  readonly rule?: string | undefined
}

/** Whether a value, such as one of another server's, is a {@link Grant}. */
export function isGrant(value: unknown): value is Grant {
  const { how, rule } = Object(value) as { how?: unknown; rule?: unknown }
  const isKnown = how === 'given' || how === 'named' || how === 'added'
  return isKnown && (rule === undefined || typeof rule === 'string')
}

/**
 * One client's subscription to one topic: from where on the topic's frames are the client's, and
 * which losses it has been told of.
 *
 * An example: a client whose cursor is 7 subscribes to a topic when the newest frame is 10. Then
 * `since` is 10: of this topic it gets frame 11 and those after it. With `rewind: 2` it is also sent
 * the topic's last two frames up to 10, as a {@link Replay}.
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
  /** How a request came by it; undefined where the application's own code subscribed the client. */
  grant: Grant | undefined = undefined
  /** The topic's last values, on their way to the client or sent lately. */
  kept: KeptReplay | undefined = undefined
  protected starts: number
  private ends: number | undefined = undefined
  private past: Replay | undefined = undefined
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

  /**
   * Whether a client that has moved here may be without the topic's last values: where it stands at
   * this position, nobody knows that it has got them.
   */
  mayLackKept(_named: Position): boolean {
    return false
  }

  /** Older frames that are still to be sent first, or undefined where there are none. */
  get replay(): Replay | undefined {
    return this.past?.active === true ? this.past : undefined
  }

  /** Whether nothing can be sent before the broker has opened the topic. */
  get awaits(): boolean {
    return false
  }

  /** What the client has of this topic, or will never get, when its cursor is at `cursor`. */
  floor(cursor: number): number {
    return Math.max(cursor, this.starts, this.told?.through ?? 0)
  }

  /** Through which number a replay is done: it is written, or was told to be lost. */
  replayedThrough(replay: Replay): number {
    return Math.max(replay.through, this.told?.through ?? 0)
  }

  /**
   * The last number that a replay brings. Frames after it are merged with those of the other topics. An
   * example: of entry 4, which goes to `a`, `b` and `c`, the client had `b`. At the tie `b` a replay of
   * `a` brings entry 4 as well, since no id with the tie `a` may follow; one of `c` ends before it.
   */
  replaysThrough(replay: Replay): number {
    return Math.min(replay.since, this.client.cursorIn(this.topic.name))
  }

  /** Whether the client skips what is out of date while it is behind. */
  get conflates(): boolean {
    return this.topic.keeping?.conflatesFor(this.client.asksConflation) === true
  }

  /** Which frames the client is sent; undefined where it is sent all. */
  get wants(): Wants | undefined {
    const { client, topic } = this
    const { keeping } = topic
    if (keeping?.filters !== true) return undefined
    return ({ message }: Frame) => message === undefined || keeping.passes(client, message)
  }

  /** How often the client is written to at the most, in milliseconds; 0: as messages come. */
  get interval(): number {
    return this.conflates ? this.topic.keeping!.interval : 0
  }

  /** Whether the client has missed something that it has not been told of. */
  hasLoss(cursor: number): boolean {
    const { history } = this.topic
    return this.floor(cursor) < (this.conflates ? history.newestLostThrough : history.lostThrough)
  }

  /** Frames after `from` are sent first. */
  replayFrom(from: number): void {
    if (this.client.untouched) {
      // Nothing has been written to it, so its cursor can go back, and no replay is needed.
      this.client.startFrom(from)
      this.starts = Math.min(this.starts, from)
      return
    }
    const serial = this.client.nextReplay()
    const since = this.starts
    this.past = { serial, from, since, at: undefined, through: from, active: true }
  }

  /** The replay has been written through this number. */
  advanceReplay(through: number): void {
    const past = this.past!
    past.at ??= this.client.place
    past.through = through
    this.client.mark({ serial: past.serial, through, topic: this.topic.name })
  }

  /** The replay is written. Frames after this number follow in the order of all topics. */
  endReplay(since: number): void {
    this.past!.at ??= this.client.place
    this.past!.active = false
    this.starts = since
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
   * Another server has given it the position from which it counts; null if it could not tell.
   *
   * @returns whether it counts from an older place than now.
   */
  continueAfter(_since: string | null, _parse: Parse): boolean {
    return this.misplace()
  }

  /** It counts from an older place than now, and the topic may not be open yet. */
  awaitOpening(): void {
    // Without a log, no older frames come with the opening.
  }

  /** The client is told of a loss through this number, in a message right after `cursor`. */
  tellLoss(cursor: number, through = this.topic.history.lostThrough): void {
    this.told = { at: cursor, through }
    sendEndLast(this)
  }

  /**
   * Whether something of the topic was written to the client that it may not have got.
   *
   * @param acknowledged What it surely has: see {@link Client.acknowledged}.
   * @param cursor What was written to it.
   */
  isUnsure(acknowledged: number, cursor: number): boolean {
    if (acknowledged === Infinity) return false
    if (acknowledged < 0 || this.past?.at !== undefined) return true
    if (this.told !== undefined && this.told.at >= acknowledged) return true
    const { history } = this.topic
    const { conflates } = this
    const from = Math.max(acknowledged, this.starts)
    // What has a newer one of its key is no loss: that one comes, or is unsure itself.
    const first = history.at(history.wanted(history.indexAfter(from), conflates, this.wants))
    const letGo = conflates ? history.newestEvictedThrough : history.evictedThrough
    return from < letGo || (first !== undefined && first.number <= cursor)
  }

  /** The client comes back at a cursor: a loss that was told after it is to be told again. */
  doubt(cursor: number): void {
    if (this.told !== undefined && cursor <= this.told.at) this.told = undefined
  }

  /** The client comes back at a position that it named, and its cursor is there. */
  resume(named: Position): void {
    const { replay } = named
    const cursor = this.client.cursor
    if (this.past !== undefined) this.resumeReplay(this.past, named)
    if (replay?.topic === this.topic.name) this.goOn(named, replay)
    const arrived = named.cursorOf(this.topic.name)
    if (arrived > cursor) this.starts = Math.max(this.starts, arrived)
  }

  /** The client is told that everything up to `cursor` may be missing. */
  startAnew(cursor: number): void {
    const { replay } = this
    this.past = undefined
    if (replay === undefined) return
    // What was to come after the replay comes with it, or it would be missing behind the replay.
    this.past = { ...replay, from: replay.through, since: cursor, at: undefined }
    this.starts = cursor
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
    this.past = undefined
    this.kept = undefined
  }

  /** An entry with this number is still to come, though the client may stand behind it. */
  reopen(number: number, before: number): void {
    this.client.moveBack(before)
    this.starts = Math.min(this.starts, before)
    if (this.told !== undefined && this.told.through >= number) this.told = undefined
  }

  /** How much of a replay has the client got that names this position? */
  private resumeReplay(past: Replay, named: Position): void {
    const { replay } = named
    const apart = past.at === undefined ? -1 : named.compareTo(past.at)
    if (apart > 0 && !past.active) {
      this.past = undefined
      return
    }
    const serial = apart === 0 ? (replay?.serial ?? 0) : 0
    if (serial > past.serial && !past.active) return
    // Exactly this far, or nothing of it.
    const through = serial === past.serial ? replay!.through : past.from
    this.past = { ...past, at: undefined, through, active: true }
    this.starts = past.since
  }

  /** The client names a replay of this topic that is not known here: it began on another stream. */
  private goOn({ number }: Position, { serial, through }: ReplayMark): void {
    if (!this.client.skipReplays(serial)) return
    const since = Math.max(this.starts, number)
    this.past = { serial, from: through, since, at: undefined, through, active: true }
    this.starts = since
  }
}
