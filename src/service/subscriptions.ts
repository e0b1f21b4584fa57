import type { Client } from '../delivery/client.js'
import type { Clock, Timers } from '../clock.js'
import type { Delivery } from '../delivery/delivery.js'
import type { Driver, Payload } from '../driver.js'
import {
  NoClientError,
  OptionsError,
  PositionError,
  SubscribeError,
  TooManyTopicsError,
  UnifrostError,
} from '../errors.js'
import { sendKept, sendSnapshot } from '../delivery/kept-replay.js'
import type { Grant, Membership } from '../delivery/membership.js'
import { checkTopicName } from './names.js'
import type { OptionCheck } from '../option-checks.js'
import { checkOptions, count, isRecord } from '../option-checks.js'
import type { Settings } from '../options.js'
import type { Counters } from './stats.js'
import type { LogPlace, Topic } from '../delivery/topic.js'
import { checkPayload } from '../wire/messages.js'
import type { Encoded } from '../wire/encode.js'
import { numberBefore, Position } from '../wire/position.js'
import type { Whose } from './refusals.js'
import { Refusals } from './refusals.js'
import { TopicRules } from './topic-rules.js'
import { Topics } from './topics.js'

/** Where a new subscription begins. Default: with the next message. */
export interface SubscribeOptions {
  /**
   * Send this many of the last messages first, as far as the history has them. Infinity: all since the
   * topic was opened; where their beginning is gone, `messages-lost` says so. Default: what `topics`
   * retains.
   */
  rewind?: number
  /**
   * Send everything after this position first: a `Last-Event-ID` of this Streamer. What the history
   * no longer has is told by `messages-lost`. A position from before a restart counts as now.
   */
  after?: string | undefined
}

/** A topic, and the position after which its messages are sent first: see {@link SubscribeOptions.after}. */
export interface TopicAfter {
  topic: string
  after?: string | undefined
}

const SUBSCRIBE_OPTIONS = {
  rewind: count(0),
  after: [(value) => typeof value === 'string', 'a position: a Last-Event-ID of this Streamer'],
} satisfies Record<keyof SubscribeOptions, OptionCheck>

/** What a client that moves here from another server brings along. */
export interface JoinOptions extends SubscribeOptions {
  /** How a request came by the topic. Default: the application's own code subscribes the client. */
  grant?: Grant | undefined
  /**
   * Where `after` can't be found, the client is told that messages are missing: it was subscribed
   * before, on an earlier connection.
   */
  goesOn?: boolean
  /** Whether `after` is what a request names: it counts only if it was given out by us. */
  named?: boolean
  /** Where `after` does not count, the call is refused with a PositionError. */
  strict?: boolean
  /**
   * The position after which the subscription counts, in a log that both servers read. A position
   * of another log counts as now; so does null, which says that the former server could not tell.
   */
  since?: string | null | undefined
  /** `after` reaches back to this time at the most, in milliseconds since 1970. */
  allowedSince?: number | undefined
  /**
   * Loads the topic's state, which is sent first. It is called where the subscription is new and `after`
   * does not bring everything. Undefined: there is none.
   */
  snapshot?: (() => Promise<Payload | undefined>) | undefined
}

/** A topic's state as the application has loaded it. */
interface Snapshot {
  readonly event: Encoded
  /** What came through this number is in it. */
  readonly through: number
}

/** What the subscriptions tell their Streamer. */
export interface SubscriptionsHost {
  opened(topic: string): void
  closed(topic: string): void
  /** The driver says that messages may be missing. */
  gap(topic: string, reason: string): void
  /** Something went wrong, and no caller waits for it. */
  report(cause: unknown, message: string): void
  warn(details: object, message: string): void
}

/** Which client is subscribed to which topic, and what the broker says of the topics. */
export class Subscriptions {
  private readonly topics: Topics
  private readonly rules: TopicRules
  private readonly refusals: Refusals
  /** What was taken from single clients, by their ids. */
  private readonly removals: Refusals
  private removedSincePosition = false
  private readonly clock: Clock

  constructor(
    driver: Driver,
    private readonly settings: Settings,
    timers: Timers,
    private readonly delivery: Delivery,
    private readonly counts: Counters,
    private readonly host: SubscriptionsHost,
  ) {
    const rules = new TopicRules(settings, driver.encoding ?? 'utf8', {
      report: (cause, message) => host.report(cause, message),
      emptied: (topic) => this.topics.release(topic),
    })
    this.rules = rules
    const { history, heartbeatInterval, clientTTL } = settings
    const life = rules.longest(history.maxAge) + heartbeatInterval + clientTTL
    this.clock = timers.clock
    this.refusals = new Refusals(timers.clock, life)
    this.removals = new Refusals(timers.clock, life)
    this.topics = new Topics(driver, settings, timers, delivery, {
      received: (topic, payload, place) => this.received(topic, payload, place),
      gapped: (topic, reason, through) => this.gapped(topic, reason, through),
      failed: (topic, error) => this.failed(topic, error),
      equip: (topic) => rules.equip(topic),
      opened: (topic) => host.opened(topic.name),
      closed: (topic) => this.closed(topic),
      closeFailed: (topic, error) => host.report(error, `${quote(topic)} was not closed in order.`),
    })
  }

  /** How many topics are open on the broker, or being opened. */
  get openTopics(): number {
    return this.topics.size
  }

  /**
   * Subscribes a client. See `Streamer.subscribe`.
   *
   * @returns whether it was not subscribed before.
   */
  async subscribe(client: Client, name: string, options: JoinOptions): Promise<boolean> {
    checkTopicName(name, this.settings.maxTopicLength, this.settings.infoEvent)
    const reaching = options.after === undefined ? undefined : this.delivery.reach(options.after)
    if (reaching !== undefined) {
      await reaching
      if (client.end !== undefined) throw new NoClientError()
    }
    const snapshot =
      options.snapshot === undefined ? undefined : await this.load(client, name, options)
    const present = client.membership(name)
    if (present === undefined && options.strict === true && snapshot === undefined) {
      this.checkPosition(client, name, options)
    }
    const membership = present ?? this.join(client, name, options, snapshot)
    // What was added lasts, also where an address names it. What the application subscribed is its own.
    if (options.grant?.how === 'added' && present?.grant !== undefined)
      present.grant = options.grant
    const waits = membership.awaits
    try {
      await membership.topic.opened
      if (waits) this.delivery.catchUp(client)
    } catch (cause) {
      this.leave(membership)
      if (waits) this.delivery.catchUp(client)
      throw cause instanceof UnifrostError ? cause : new SubscribeError(name, cause)
    }
    if (membership.endedAt !== undefined && membership.topic.endedAt === undefined) {
      throw new SubscribeError(name, new Error('It was opened, and ended at once.'))
    }
    return present === undefined
  }

  /**
   * Subscribes a client as it was subscribed on another server. Where the broker does not open the
   * topic, the client is told so in its stream. Never rejects.
   *
   * @param since The position after which the topic's frames count; null for now.
   */
  async restore(
    client: Client,
    name: string,
    since: string | null,
    grant: Grant | undefined,
  ): Promise<void> {
    const membership = this.member(client, name, true)
    membership.grant = grant
    const older = this.place(membership, { since })
    if (membership.topic.endedAt !== undefined) this.tellOver(membership)
    this.holdBack(membership, older)
    try {
      await membership.topic.opened
      if (client.connected) this.delivery.catchUp(client)
    } catch (error) {
      if (client.membership(name) !== membership) return
      client.fail(membership, this.delivery.tell(membership.topic, 'subscription-failure'))
      this.delivery.catchUp(client)
      const where = quote(membership.topic)
      this.host.report(error, `The broker did not open ${where} for a client that has moved here.`)
    }
  }

  /** How many clients are subscribed to a topic, and how many of them have a stream. */
  count(name: string): { clients: number; connected: number } {
    const members = this.topics.get(name)?.members ?? []
    const connected = members.filter(({ client }) => client.connected)
    return { clients: members.length, connected: connected.length }
  }

  /**
   * Unsubscribes a client. See `Streamer.unsubscribe`.
   *
   * @returns whether it was subscribed.
   */
  unsubscribe(client: Client, name: string): boolean {
    const membership = client.membership(name)
    if (membership !== undefined) {
      this.leave(membership)
      this.removals.note(idOf(client), name, this.delivery.delivered)
      this.removedSincePosition = true
    }
    for (const failed of client.failed) if (failed.topic.name === name) client.forget(failed)
    return membership !== undefined
  }

  /** A user may not have a topic: no position from before counts for it. */
  refused(whose: Whose, name: string): void {
    this.delivery.flush()
    this.refusals.note(whose, name, this.delivery.delivered)
  }

  /** Takes a topic from a client whose user may not have it any more. The client is told in its place. */
  withdraw(client: Client, name: string): void {
    this.refused(client, name)
    this.unsubscribe(client, name)
    client.takeAway(name)
  }

  /** Ends all subscriptions of a client. Their topics stay open until this time, by the clock. */
  leaveAll(client: Client, heldUntil: number): void {
    for (const membership of client.memberships) {
      membership.topic.heldUntil = Math.max(membership.topic.heldUntil, heldUntil)
      this.leave(membership)
    }
    for (const membership of client.failed) client.forget(membership)
  }

  /**
   * Ends a topic for this server's clients: see `Streamer.endTopic`.
   *
   * @returns how many clients were told.
   */
  end(name: string): number {
    checkTopicName(name, this.settings.maxTopicLength, this.settings.infoEvent)
    if (this.topics.endedOf(name) !== undefined) return 0
    return this.endTopic(this.topics.get(name) ?? this.topics.unopened(name))
  }

  /** Whether an entry of the log that is read again is its topic's last one, which ends the topic. */
  endsWith(name: string, payload: Payload): boolean {
    const topic = this.topics.get(name)
    if (topic?.keeping?.ends(payload) !== true) return false
    // What is read goes to its clients first.
    setImmediate(() => this.endTopic(topic))
    return true
  }

  /** An entry of the log that is read again, as the filter of its topic is given it. */
  filtered(name: string, payload: Payload): string | Uint8Array | undefined {
    return this.rules.filtered(name, payload)
  }

  /** The topics that are open on the broker, or being opened. */
  get open(): Topic[] {
    return this.topics.all()
  }

  /** Lets every topic go on the broker. */
  async close(): Promise<void> {
    await this.topics.closeAll()
  }

  /** See `Streamer.position`. */
  position(): string {
    const topics = this.topics.all()
    // So that it is told apart from those of before the removal.
    if (this.removedSincePosition) this.delivery.handOut(topics)
    this.removedSincePosition = false
    return this.delivery.handOut(topics)
  }

  /** @throws PositionError if a position that a request names does not count here. */
  private checkPosition(client: Client, name: string, { after }: JoinOptions): void {
    if (after === undefined) return
    const position = this.delivery.vouchesFor(after) ? this.delivery.locate(after) : undefined
    if (position === undefined) throw new PositionError()
    // Who was removed gets nothing of the time between.
    if (this.removals.since(idOf(client), name, position.cursorOf(name))) throw new PositionError()
  }

  /**
   * Loads a topic's state for a client that is to be subscribed. The topic is open meanwhile and nothing
   * of the client waits. An example: everything through 9 has come when loading begins, 10 and 11 come
   * meanwhile. The client is sent the state, then 10 and 11, then what follows.
   *
   * @throws SubscribeError, NoClientError, and what loading throws
   */
  private async load(
    client: Client,
    name: string,
    options: JoinOptions,
  ): Promise<Snapshot | undefined> {
    const { snapshot } = options
    if (snapshot === undefined || client.membership(name) !== undefined) return undefined
    this.checkRoom(client)
    const topic = this.topics.acquire(name, client)
    topic.heldUntil = Math.max(topic.heldUntil, this.clock.now() + this.settings.clientTTL)
    try {
      await topic.opened
    } catch (cause) {
      throw cause instanceof UnifrostError ? cause : new SubscribeError(name, cause)
    }
    try {
      this.delivery.flush()
      if (this.brings(client, topic, options)) return undefined
      const through = this.delivery.delivered
      const payload = await snapshot()
      if (client.end !== undefined) throw new NoClientError()
      if (payload === undefined) return undefined
      return { event: this.delivery.encodeSnapshot(name, payload), through }
    } catch (error) {
      this.topics.release(topic)
      throw error
    }
  }

  /** Whether a client has everything of a topic that goes on after a position. */
  private brings(client: Client, topic: Topic, options: JoinOptions): boolean {
    const { after, named = false } = options
    if (after === undefined) return false
    if (named && !this.delivery.vouchesFor(after)) return false
    const begins = this.delivery.locate(after)?.cursorOf(topic.name)
    if (begins === undefined || begins < topic.history.lostThrough) return false
    if (!named) return true
    const isTaken =
      this.refusals.since(client, topic.name, begins) ||
      this.removals.since(idOf(client), topic.name, begins)
    const isReached = begins >= this.reachOf(topic, after, options)
    return isReached && begins > topic.unheardThrough && !isTaken
  }

  /** @throws TooManyTopicsError if the client has all topics that it may have. */
  private checkRoom(client: Client): void {
    if (client.totalTopics >= this.settings.maxTopics) {
      throw new TooManyTopicsError(this.settings.maxTopics)
    }
  }

  private join(
    client: Client,
    name: string,
    options: JoinOptions,
    snapshot?: Snapshot,
  ): Membership {
    this.checkRoom(client)
    const membership = this.member(client, name)
    membership.grant = options.grant
    const older =
      snapshot === undefined
        ? this.place(membership, options)
        : this.placeBehind(membership, snapshot)
    if (membership.topic.endedAt !== undefined) this.tellOver(membership)
    this.holdBack(membership, older)
    return membership
  }

  /** Puts a subscription at the place that the options name. @returns whether that is before now. */
  private place(membership: Membership, options: JoinOptions): boolean {
    const { rewind, after, since, goesOn } = options
    const { topic } = membership
    // What the history has let go may be retained still.
    const isRewound = rewind !== undefined && rewind > 0
    const isOver = rewind === Infinity && topic.endedAt !== undefined
    if (isRewound && topic.history.length === 0 && !isOver) sendKept(membership, membership.since)
    if (rewind === Infinity) {
      membership.replayFrom(topic.history.startsAfter)
    } else if (isRewound) {
      const first = topic.history.at(Math.max(0, topic.history.length - rewind))
      if (first !== undefined) membership.replayFrom(numberBefore(first.number))
    } else if (after !== undefined) {
      const position = this.placeOf(membership, after, options)
      if (position === undefined) {
        const older = membership.misplace()
        sendKept(membership, membership.since)
        if (goesOn === true) this.tellMissing(membership)
        return older
      }
      membership.replayFrom(position.cursorOf(topic.name))
      return true
    } else if (since !== undefined) {
      return membership.continueAfter(since, (text) => this.delivery.parse(text))
    } else if (rewind === undefined) {
      sendKept(membership, membership.since)
    }
    return false
  }

  /** A subscription gets a topic's state, and what has come since. */
  private placeBehind(membership: Membership, { event, through }: Snapshot): boolean {
    sendSnapshot(membership, through, event)
    membership.replayFrom(through)
    return true
  }

  /** Where in the numbering a topic begins; undefined where that is not known, or not the client's. */
  private placeOf(membership: Membership, after: string, options: JoinOptions) {
    const { client, topic } = membership
    const { named = false } = options
    if (named && !this.delivery.vouchesFor(after)) return undefined
    const position = this.delivery.locate(after)
    if (!named || position === undefined) return position
    const begins = position.cursorOf(topic.name)
    const isHeard = begins > topic.unheardThrough
    const counts = isHeard && !this.refusals.since(client, topic.name, begins)
    const reach = this.reachOf(topic, after, options)
    if (counts && begins >= reach) return position
    // Where it has a stream already, it is told now.
    if (client.greeted) this.tellMissing(membership)
    client.owe(topic.name)
    return counts ? new Position(reach) : undefined
  }

  /** After which number of a topic a position may bring messages at the earliest. */
  private reachOf({ history }: Topic, after: string, { allowedSince }: JoinOptions): number {
    const { messages } = this.settings.maxResume
    const most = history.length > messages ? history.beforeLast(messages) : -1
    if (allowedSince === undefined || allowedSince === -Infinity) return most
    if (this.delivery.wasGivenOutAfter(after, allowedSince)) return most
    const time = this.clock.now() - (Date.now() - allowedSince)
    return Math.max(most, history.lastBefore(time))
  }

  /** Tells a client that it may have missed messages, where the delivery does not tell it by itself. */
  private tellMissing({ client, topic }: Membership): void {
    if (client.membership(topic.name)?.hasLoss(client.position) === true) return
    client.connection?.write(
      this.delivery.errorMessage({ code: 'messages-lost', topic: topic.name }),
    )
    this.delivery.lost(client, topic.name)
  }

  /** @param granted Whether the client has the topic whatever the limits of open ones say. */
  private member(client: Client, name: string, granted = false): Membership {
    this.delivery.flush()
    const topic = this.topics.acquire(name, client, granted)
    const membership = this.delivery.newMembership(client, topic)
    topic.join(membership)
    client.join(membership)
    return membership
  }

  /** Stops a live client where older messages of a topic come first. */
  private holdBack(membership: Membership, older: boolean): void {
    const { client } = membership
    if (older) membership.awaitOpening()
    const waits =
      membership.replay !== undefined ||
      membership.awaits ||
      membership.kept !== undefined ||
      membership.interval > 0
    if (waits && client.live) {
      this.delivery.goBack(client)
    }
  }

  private leave(membership: Membership): void {
    const { client, topic } = membership
    if (client.membership(topic.name) !== membership) return
    this.delivery.flush()
    client.leave(membership)
    topic.leave(membership)
    this.topics.release(topic)
  }

  /** A client has subscribed to a topic that has ended: it is told so, behind what is retained. */
  private tellOver(membership: Membership): void {
    const { client, topic } = membership
    for (const earlier of client.failed) if (earlier.topic === topic) client.forget(earlier)
    const isBehind = membership.since < topic.endedAt! || membership.replay !== undefined
    if (!isBehind) sendKept(membership, membership.since)
    client.fail(membership, topic.endedAt!)
  }

  /** @returns how many clients were told. */
  private endTopic(topic: Topic): number {
    if (topic.isOver || topic.endedAt !== undefined) return 0
    this.delivery.tellEnd(topic)
    const members = topic.members.filter(({ endedAt }) => endedAt === undefined)
    for (const membership of members) membership.client.fail(membership, topic.endedAt!)
    this.topics.end(topic)
    this.host.closed(topic.name)
    return members.length
  }

  /** The one guard of the sink, which never throws: what can't be taken is a told loss. */
  private received(topic: Topic, payload: Payload, place?: LogPlace): void {
    if (topic.isEnding) return
    this.counts.received++
    try {
      this.take(topic, payload, place)
    } catch (error) {
      this.host.report(error, `A message of ${quote(topic)} could not be taken.`)
      this.gapped(topic, 'A message could not be taken.')
    }
  }

  private take(topic: Topic, payload: Payload, place?: LogPlace): void {
    checkPayload(payload)
    const refusal = this.delivery.receive(topic, payload, place)
    if (topic.keeping?.ends(payload) === true) {
      topic.isEnding = true
      // An entry that goes to several topics is kept for all of them first.
      if (place?.shared === true) queueMicrotask(() => this.endTopic(topic))
      else this.endTopic(topic)
    }
    if (refusal === undefined) return
    this.counts.refused++
    if (topic.hasRefused) return
    topic.hasRefused = true
    const hint =
      refusal === 'not-utf8'
        ? "Not UTF-8. Give the driver encoding: 'base64', or publish text."
        : `Larger than ${this.settings.maxMessageBytes} bytes. Publish less at once, or raise ` +
          'maxMessageBytes.'
    this.host.warn({ topic: topic.name, hint }, 'Messages of a topic are refused.')
  }

  /** Messages of a topic may be missing: its clients are told so in this place. */
  gapped(topic: Topic, reason: string, through?: number): void {
    this.counts.gaps++
    this.delivery.tellGap(topic, through)
    this.host.warn({ topic: topic.name, reason }, 'Messages of a topic may be missing.')
    this.host.gap(topic.name, reason)
  }

  /** The broker has ended a subscription: its clients are told in its place, and are without it. */
  private failed(topic: Topic, error: Error): void {
    this.counts.failures++
    const endedAt = this.delivery.tell(topic, 'subscription-failure')
    for (const membership of topic.members) membership.client.fail(membership, endedAt)
    void this.topics.close(topic)
    this.host.report(error, `The subscription to ${quote(topic)} has failed.`)
  }

  private closed(topic: Topic): void {
    // A topic that has failed keeps its frames for the clients that have not got them yet.
    if (topic.members.length === 0) this.delivery.drop(topic)
    this.host.closed(topic.name)
  }
}

function idOf({ id }: Client): Whose {
  return { owner: id, address: undefined }
}

function quote(topic: Topic): string {
  return `topic ${JSON.stringify(topic.name)}`
}

/** @throws OptionsError */
export function checkSubscribeOptions(options: SubscribeOptions): void {
  checkOptions('subscribe', options, SUBSCRIBE_OPTIONS)
  if (options.rewind !== undefined && options.after !== undefined) {
    throw new OptionsError('subscribe takes rewind or after, not both.')
  }
}

/**
 * Topics by their names, each with where it begins. Of two entries for one topic, the first one counts.
 *
 * @throws OptionsError
 */
export function topicsAfter(
  topics: unknown,
  options: SubscribeOptions,
): Map<string, SubscribeOptions> {
  const begins = new Map<string, SubscribeOptions>()
  for (const entry of Array.isArray(topics) ? (topics as unknown[]) : [topics]) {
    if (!isRecord(entry)) {
      // What is no name is refused as one.
      begins.set(entry as string, begins.get(entry as string) ?? options)
      continue
    }
    const { topic, after, ...rest } = entry as Partial<TopicAfter>
    const fault = Object.keys(rest)[0]
    if (fault !== undefined) {
      throw new OptionsError(
        `subscribe takes a topic's name, or { topic, after }; it got ${fault}.`,
      )
    }
    const own = after === undefined ? options : { ...options, after }
    checkSubscribeOptions(own)
    begins.set(topic as string, begins.get(topic as string) ?? own)
  }
  return begins
}
