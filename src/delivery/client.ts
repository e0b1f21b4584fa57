import type { Timer } from '../clock.js'
import type { Batch } from '../wire/frame.js'
import { errorMessage } from '../wire/messages.js'
import type { ReplayMark } from '../wire/position.js'
import { Position } from '../wire/position.js'
import type { Connection } from './connection.js'
import type { Membership } from './membership.js'
import type { TickBatch } from './tick-batch.js'

/** Why a client is no more. */
export type ClientEnd =
  /** `removeClient` or `Client.close`. */
  | 'removed'
  /** `revoke`. */
  | 'revoked'
  /** It stayed away for longer than its TTL. */
  | 'expired'
  /** Its connection ended, and its request can make it anew. */
  | 'left'
  /** The Streamer was closed. */
  | 'closed'
  /** Another server has it now; there is a `directory`. */
  | 'moved'
  /** The Streamer was closed, or cut off for long; another server may have it. There is a `directory`. */
  | 'released'

/** How many failed subscriptions a client is remembered to have, until it shows that it knows. */
const MOST_FAILED = 32
/** A topic that was taken from a client, and its position when it was told so; Infinity if it was not. */
interface Taken {
  readonly topic: string
  readonly at: number
}

/** Shared by all clients from which no topic was taken. */
const NONE_TAKEN: readonly Taken[] = []
/** Shared by all clients that are owed nothing. */
const NONE_OWED: readonly string[] = []
/** Shared by all clients that have none. */
const NONE: readonly Membership[] = []

/** What a client needs of its Streamer. */
export interface ClientHost {
  removeClient(id: string): Promise<unknown>
  /** Every live client has been given everything through this number. */
  readonly delivered: number
  /** The event name of info messages, as it is written. */
  readonly infoEvent: string | undefined
}

/**
 * One consumer of events, known by its id. It lives on between connections for `clientTTL`.
 *
 * Clients are made by a Streamer, and live until they are removed, expire, or it closes.
 *
 * A client has no queue. It has a cursor, the number of the last frame that was written to it, and
 * is in one of four states:
 *
 * ```text
 *             attach            greet             arrive
 *   away ──────────────▶ opening ─────▶ behind ◀──────────▶ live
 *     ▲                     │             │   fallBehind     │
 *     └──────── detach ─────┴─────────────┴──────────────────┘
 * ```
 *
 * - *away*: no connection. The cursor stands still.
 * - *opening*: it has a connection, whose first message is not written yet.
 * - *behind*: frames after the cursor are written to it as fast as it takes them (`advance`).
 * - *live*: it gets frames as they arrive. It has no cursor of its own then: it stands where the
 *   Streamer has delivered to everybody.
 *
 * Beside that it may be suspended: nothing is written until the directory has confirmed that the
 * client is still this server's.
 */
export class Client {
  /** @internal The part of the current tick that is its own. {@link Broadcast} sets it. */
  tick: TickBatch | undefined = undefined
  /** @internal Whether last values of a topic are still to be written to it. */
  awaitsKept = false
  /** @internal Whether the end of a topic is still to be written to it, behind all else. */
  awaitsEnd = false
  /** @internal Whether its request asks to skip what is out of date, where a topic lets it. */
  asksConflation = false
  private readonly joined = new Map<string, Membership>()
  private failures: readonly Membership[] = NONE
  private forgotten = 0
  private current: Connection | undefined = undefined
  private isLive = false
  private isGreeted = false
  private isUntouched = true
  private known = Infinity
  private replays = 0
  private named: Position | undefined = undefined
  private replayMark: (ReplayMark & { at: number }) | undefined = undefined
  private taken: readonly Taken[] = NONE_TAKEN
  private owed: readonly string[] = NONE_OWED
  private isSuspended = false
  private reports = false
  private own: number
  private ttl: Timer | undefined = undefined
  private from: string | undefined = undefined
  private over: ClientEnd | undefined = undefined

  /** @internal */
  constructor(
    /** A capability: whoever has it, and is the owner where one is named, may connect. */
    readonly id: string,
    /** Who it belongs to, where it belongs to someone. Nobody else may use it over HTTP. */
    readonly owner: string | undefined,
    /** @internal Whether it goes with its connection, because its request can make it anew. */
    readonly transient: boolean,
    private readonly host: ClientHost,
    /** @internal The network address that it was made for, where it has no owner and that is known. */
    readonly address: string | undefined,
    /** What it was marked with where it was made. */
    readonly labels: Readonly<Record<string, string>>,
  ) {
    this.own = host.delivered
  }

  /** Whether it has an open connection. */
  get connected(): boolean {
    return this.current !== undefined
  }

  /** The topics it is subscribed to. */
  get topics(): string[] {
    return [...this.joined.keys()]
  }

  /** How many topics it is subscribed to. */
  get totalTopics(): number {
    return this.joined.size
  }

  /** Removes it: it is told `Client closed`, its stream ends, its topics are let go. */
  async close(): Promise<void> {
    if (this.over === undefined) await this.host.removeClient(this.id)
  }

  /** @internal The open response, if there is one. */
  get connection(): Connection | undefined {
    return this.current
  }

  /** @internal Whether it has been given all that is delivered, and takes more. */
  get live(): boolean {
    return this.isLive
  }

  /** @internal Whether frames may be written to it: it is greeted and not suspended. */
  get readable(): boolean {
    return this.isGreeted && !this.isSuspended
  }

  /** @internal Whether its connection has been given its first message. */
  get greeted(): boolean {
    return this.isGreeted
  }

  /** @internal The number of the last frame written to it, while it is not live. */
  get cursor(): number {
    return this.own
  }

  /** @internal The number of the last frame written to it. */
  get position(): number {
    return this.isLive ? this.host.delivered : this.own
  }

  /** @internal Why it is no more, or undefined while it lives. */
  get end(): ClientEnd | undefined {
    return this.over
  }

  /** @internal It has a new connection, to which nothing is written yet. */
  attach(connection: Connection): void {
    this.fallBehind()
    this.isGreeted = false
    this.current = connection
  }

  /**
   * @internal Its first message is about to be written.
   *
   * @param named Where it stands, where it has named a position.
   */
  greet(named?: Position): void {
    this.isGreeted = true
    this.isUntouched = false
    this.reports = false
    if (named === undefined) return
    this.own = named.cursor
    this.named = named
    this.replayMark = named.replay && { ...named.replay, at: named.cursor }
  }

  /** @internal Frames through this number have been written to it. */
  advance(number: number): void {
    if (number > this.own) this.own = number
  }

  /** @internal It has everything, and gets frames as they arrive. */
  arrive(): void {
    this.isLive = true
  }

  /** @internal It gets no frames as they arrive any more: it reads from its cursor on. */
  fallBehind(): void {
    this.own = this.position
    this.isLive = false
  }

  /**
   * @internal It surely has everything through this number: it has named it, or nothing was on its
   * way before. Infinity while it has had no stream; -1 where nobody knows.
   */
  get acknowledged(): number {
    return this.known
  }

  /** @internal It surely has everything through this number. */
  acknowledge(number: number): void {
    this.known = number
  }

  /** @internal Its connection is over, or another one takes its place. */
  detach(): void {
    this.fallBehind()
    this.current = undefined
  }

  /** @internal A frame before this number is still to be written, if it is not live. */
  moveBack(number: number): void {
    if (!this.isLive && number < this.own) this.own = number
  }

  /** @internal Nothing is written to it until {@link unsuspend}. */
  suspend(): void {
    this.isSuspended = true
    this.fallBehind()
  }

  /** @internal @returns whether it was suspended. */
  unsuspend(): boolean {
    const was = this.isSuspended
    this.isSuspended = false
    return was
  }

  /** @internal It is no more. */
  finish(end: ClientEnd): void {
    this.over = end
  }

  /** @internal Its TTL runs, on this timer. */
  startTTL(timer: Timer): void {
    this.ttl = timer
  }

  /** @internal Its TTL does not run any more. @returns the timer to cancel. */
  stopTTL(): Timer | undefined {
    const { ttl } = this
    this.ttl = undefined
    return ttl
  }

  /** @internal When its TTL ends, by the clock; undefined while it does not run. */
  get expiresAt(): number | undefined {
    return this.ttl?.due
  }

  /** @internal Where it stood on the server that it was taken from, until it has a stream here. */
  get handover(): string | undefined {
    return this.from
  }

  /** @internal Whether nothing has ever been written to it, here or on another server. */
  get untouched(): boolean {
    return this.isUntouched
  }

  /** @internal It has nothing yet, and begins after this number. */
  startFrom(number: number): void {
    this.own = Math.min(this.own, number)
  }

  /** @internal @returns the serial of a new replay. */
  nextReplay(): number {
    return ++this.replays
  }

  /**
   * @internal Replays through this serial have been begun on another stream.
   *
   * @returns whether that was not known.
   */
  skipReplays(serial: number): boolean {
    if (serial <= this.replays) return false
    this.replays = serial
    return true
  }

  /** @internal A replay has been written as far as it says, with the cursor where it is. */
  mark({ serial, through, topic }: ReplayMark): void {
    this.replayMark = { serial, through, topic, at: this.position }
  }

  /** @internal How far a replay has been written since the cursor came to where it is. */
  get marked(): ReplayMark | undefined {
    const { replayMark } = this
    // A position between two numbers of a log is named as the lower one.
    const isThere = Math.floor(replayMark?.at ?? -1) === Math.floor(this.position)
    return isThere ? replayMark : undefined
  }

  /** @internal The position of what was written to it last. */
  get place(): Position {
    const { position, named } = this
    // A cursor does not say of which topics it has an entry that went to several.
    if (named?.cursor !== position) return new Position(position, undefined, this.marked)
    return new Position(named.number, named.tie, this.marked)
  }

  /** @internal The number up to which it has a topic, apart from what a replay is to bring. */
  cursorIn(topic: string): number {
    const { number, tie } = this.place
    return new Position(number, tie).cursorOf(topic)
  }

  /**
   * @internal It was taken from another server, where it stood at this position.
   *
   * @param streamed Whether it has had a stream there.
   */
  comeFrom(position: string, streamed: boolean): void {
    this.from = position
    this.isUntouched = false
    if (streamed) this.known = -1
  }

  /** @internal @returns its {@link handover}, which is forgotten by that. */
  takeHandover(): string | undefined {
    const { from } = this
    this.from = undefined
    return from
  }

  /** @internal It is reported once how its connection goes on, when that is known. */
  awaitReport(): void {
    this.reports = true
  }

  /** @internal @returns whether it was still to be reported how its connection goes on. */
  takeReport(): boolean {
    const was = this.reports
    this.reports = false
    return was
  }

  /** @internal Writes what all live clients get; they had everything through `had`. */
  deliver(batches: readonly Batch[], had: number): void {
    for (const batch of batches) {
      const result = this.current?.write(batch) ?? 'closed'
      // Not taken: the cursor stays before this batch, so that it is sent to the next connection.
      if (result !== 'closed') had = batch.last
      if (result === 'ok') continue
      this.isLive = false
      this.own = had
      return
    }
  }

  /** @internal Its subscription to a topic, if that is in force. */
  membership(topic: string): Membership | undefined {
    return this.joined.get(topic)
  }

  /** @internal Its subscriptions in force. */
  get memberships(): IterableIterator<Membership> {
    return this.joined.values()
  }

  /** @internal Subscriptions that the broker ended, until the client is known to know it. */
  get failed(): readonly Membership[] {
    return this.failures
  }

  /** @internal Every subscription that may still have frames for it. */
  sources(): Membership[] {
    const memberships = [...this.joined.values()]
    return this.failures.length === 0 ? memberships : memberships.concat(this.failures)
  }

  /** @internal It is subscribed. */
  join(membership: Membership): void {
    this.joined.set(membership.topic.name, membership)
  }

  /** @internal It is not subscribed any more. */
  leave(membership: Membership): void {
    this.joined.delete(membership.topic.name)
  }

  /**
   * @internal The broker has ended a subscription, which stands in the history as `number`.
   *
   * It is remembered beyond the moment in which the client was told, since what is written may
   * be lost on its way. Beyond {@link MOST_FAILED} the oldest is forgotten, if the client was told.
   */
  fail(membership: Membership, number: number): void {
    membership.endAt(number)
    this.leave(membership)
    this.failures = [...this.failures, membership]
    const oldest = this.failures[0]!
    if (this.failures.length <= MOST_FAILED || oldest.endedAt! > this.position) return
    this.forgotten = oldest.endedAt!
    this.forget(oldest)
  }

  /** @internal Drops a subscription that the broker ended. */
  forget(membership: Membership): void {
    this.failures = this.failures.filter((other) => other !== membership)
    membership.topic.leave(membership)
  }

  /** @internal It knows of the failures through this number. */
  knows(through: number): void {
    for (const membership of this.failures) {
      const isTold = membership.endedAt! <= through && membership.kept === undefined
      if (isTold) this.forget(membership)
    }
  }

  /**
   * @internal Whether a failed subscription may have been forgotten that a client at this cursor
   * was not told of.
   */
  hasForgotten(cursor: number): boolean {
    return cursor < this.forgotten
  }

  /**
   * @internal A topic was taken from it, since the user may not have it any more. A client that is
   * connected is told at once, behind all that was written to it; another one with its next stream. It
   * is told again until it names a later position, since what is written may be lost on its way.
   */
  takeAway(topic: string): void {
    const told = this.isGreeted && this.current !== undefined
    const others = this.taken.filter((one) => one.topic !== topic).slice(1 - MOST_FAILED)
    this.taken = [...others, { topic, at: told ? this.position : Infinity }]
    if (told)
      this.current?.write(
        errorMessage({ code: 'forbidden-topic', topic }, { event: this.host.infoEvent }),
      )
  }

  /**
   * @internal Its stream has begun: tells it which topics were taken from it.
   *
   * @param cursor Where it says that it stands, if it does.
   */
  tellTaken(cursor = -1): void {
    if (this.taken.length === 0) return
    const untold = this.taken.filter(({ topic, at }) => at >= cursor && !this.joined.has(topic))
    this.taken = NONE_TAKEN
    for (const { topic } of untold) this.takeAway(topic)
  }

  /** @internal Messages of a topic are kept from it, which it is told when its stream begins. */
  owe(topic: string): void {
    this.owed = [...this.owed, topic]
  }

  /** @internal */
  owes(topic: string): boolean {
    return this.owed.includes(topic)
  }

  /** @internal @returns the topics that {@link owe} was called with. */
  takeOwed(): readonly string[] {
    const { owed } = this
    this.owed = NONE_OWED
    return owed
  }

  /** @internal All numbers begin anew: it stands at this one. */
  restart(number: number): void {
    this.own = number
    // What it was told of the old log may have been lost on its way.
    if (this.known < Infinity) this.known = -1
    this.forgotten = 0
    for (const membership of this.sources()) membership.restart(number)
  }
}
