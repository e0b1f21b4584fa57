import type { Client } from '../delivery/client.js'
import type { Timers } from '../clock.js'
import type { Delivery } from '../delivery/delivery.js'
import type { Driver } from '../driver.js'
import {
  NoClientError,
  OptionsError,
  SubscribeError,
  TooManyTopicsError,
  UnifrostError,
} from '../errors.js'
import { Membership } from '../delivery/membership.js'
import { checkTopicName } from './names.js'
import type { Settings } from '../options.js'
import { topicCursorAt } from '../wire/position.js'
import type { Counters } from './stats.js'
import type { Topic } from '../delivery/topic.js'
import { Topics } from './topics.js'

/** From where on a new subscription counts, where that is not now. */
export interface SubscribeOptions {
  /** Send the last so many messages first, as far as the history has them. */
  rewind?: number
  /**
   * Send everything that came after this position (a `Last-Event-ID` of this Streamer's) first;
   * what the history no longer has is told by `messages-lost`. A position of another Streamer's
   * life counts as now.
   */
  after?: string | undefined
}

/** What only servers tell one another. */
export interface JoinOptions extends SubscribeOptions {
  /**
   * The position from which the subscription counts, which another server has given it, in the
   * same log. One that is not of this log counts as now.
   */
  since?: string | undefined
}

/** What is told of topics. */
export interface SubscriptionsHost {
  opened(topic: string): void
  closed(topic: string): void
  /** Something that nobody waits for went wrong. */
  report(cause: unknown, message: string): void
  warn(details: object, message: string): void
}

/** Who is subscribed to what, and what the broker says of it. */
export class Subscriptions {
  private readonly topics: Topics

  constructor(
    driver: Driver,
    private readonly settings: Settings,
    timers: Timers,
    private readonly delivery: Delivery,
    private readonly counts: Counters,
    private readonly host: SubscriptionsHost,
  ) {
    this.topics = new Topics(driver, settings.topicLinger, timers, {
      newest: () => delivery.history.last,
      received: (topic, payload, number, shared) => this.received(topic, payload, number, shared),
      gapped: (topic, reason, through) => this.gapped(topic, reason, through),
      failed: (topic, error) => this.failed(topic, error),
      opened: (topic) => host.opened(topic.name),
      closed: (topic) => this.closed(topic),
      closeFailed: (topic, error) => host.report(error, `${quote(topic)} was not closed in order.`),
    })
  }

  /** How many topics are open on the broker, or being opened. */
  get openTopics(): number {
    return this.topics.size
  }

  /** See `Streamer.subscribe`. */
  async subscribe(client: Client, name: string, options: JoinOptions): Promise<void> {
    checkTopicName(name, this.settings.maxTopicLength)
    checkOptions(options)
    const reaching = options.after === undefined ? undefined : this.delivery.reach(options.after)
    if (reaching !== undefined) {
      await reaching
      if (client.end !== undefined) throw new NoClientError()
    }
    const membership = client.memberships.get(name) ?? this.join(client, name, options)
    const waits = membership.awaits
    try {
      await membership.topic.opened
      if (waits) this.delivery.catchUp(client)
    } catch (cause) {
      this.leave(membership)
      if (waits) this.delivery.catchUp(client)
      throw cause instanceof UnifrostError ? cause : new SubscribeError(name, cause)
    }
    if (membership.endedAt !== undefined) {
      throw new SubscribeError(name, new Error('It was opened, and ended at once.'))
    }
  }

  /**
   * Subscribes a client as it was subscribed on another server. Where the broker does not open the
   * topic, the client is told so in its stream. Never rejects.
   *
   * @param since The position after which the topic's frames count; null for now.
   */
  async restore(client: Client, name: string, since: string | null): Promise<void> {
    const membership = this.member(client, name)
    this.await(membership, this.place(membership, since === null ? {} : { since }))
    try {
      await membership.topic.opened
      if (client.connected) this.delivery.catchUp(client)
    } catch (error) {
      if (client.memberships.get(name) !== membership) return
      client.lose(membership, this.delivery.tell(membership.topic, 'subscription-failure'))
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

  /** See `Streamer.unsubscribe`. */
  unsubscribe(client: Client, name: string): void {
    const membership = client.memberships.get(name)
    if (membership !== undefined) this.leave(membership)
    for (const ended of client.ended) if (ended.topic.name === name) client.forget(ended)
  }

  /** Ends all subscriptions of a client, and holds their topics until then. */
  leaveAll(client: Client, heldUntil: number): void {
    for (const membership of client.memberships.values()) {
      membership.topic.heldUntil = Math.max(membership.topic.heldUntil, heldUntil)
      this.leave(membership)
    }
    for (const membership of client.ended) client.forget(membership)
  }

  /** The driver's log was made anew: everybody is put at its position, and told. */
  restart(clients: readonly Client[]): void {
    const topics = this.topics.all()
    const ended = clients.flatMap((client) => client.ended)
    const all = new Set([...topics, ...ended.map(({ topic }) => topic)])
    for (const client of clients) {
      client.outdated = { position: this.delivery.positionOf(client), until: Infinity }
    }
    const position = this.delivery.restart()
    for (const topic of all) this.delivery.restartTopic(topic, position)
    for (const client of clients) restartClient(client, position)
    for (const topic of topics) this.gapped(topic, "The driver's log was made anew.")
    for (const topic of new Set(ended.map((membership) => membership.topic))) {
      const endedAt = this.delivery.tell(topic, 'subscription-failure')
      for (const membership of ended) if (membership.topic === topic) membership.endedAt = endedAt
    }
    for (const client of clients) {
      client.outdated!.until = this.delivery.history.last
      this.delivery.catchUp(client)
    }
  }

  /** Lets every topic go on the broker. */
  async close(): Promise<void> {
    await this.topics.closeAll()
  }

  private join(client: Client, name: string, options: JoinOptions): Membership {
    if (client.totalTopics >= this.settings.maxTopics) {
      throw new TooManyTopicsError(this.settings.maxTopics)
    }
    const membership = this.member(client, name)
    const older = this.place(membership, options)
    this.await(membership, older)
    return membership
  }

  /** Has a subscription count from an older place than now. @returns whether it does. */
  private place(membership: Membership, { rewind, after, since }: JoinOptions): boolean {
    const { topic } = membership
    if (rewind !== undefined && rewind > 0) {
      const first = topic.log.at(Math.max(0, topic.log.length - rewind))
      if (first !== undefined) membership.rewind = { from: first.number - 1, exact: false }
    } else if (after !== undefined) {
      const position = this.delivery.locate(after)
      if (position === undefined) return this.misplace(membership)
      membership.rewind = { from: topicCursorAt(position, topic.name), exact: true }
      return true
    } else if (since !== undefined) {
      const position = this.delivery.numbering.parse(since)
      if (position === undefined || !topic.log.refills) return this.misplace(membership)
      membership.since = position.number
      return true
    }
    return false
  }

  /** By the time it connects, the log may have been made anew, and the position say something. */
  private misplace(membership: Membership): false {
    membership.misses = membership.topic.log.refills
    return false
  }

  private member(client: Client, name: string): Membership {
    this.delivery.flush()
    const topic = this.topics.acquire(name)
    // Where a driver has a log, the topic may be read from a place in it that comes later.
    const now = Math.max(this.delivery.history.last, topic.log.evictedThrough)
    const membership = new Membership(client, topic, now)
    topic.join(membership)
    client.memberships.set(name, membership)
    return membership
  }

  /** Has a client wait for a topic that is being opened, where older messages of it come first. */
  private await(membership: Membership, older: boolean): void {
    const { client, topic } = membership
    membership.awaits = older && topic.log.refills && !topic.isOpen
    if ((membership.rewind !== undefined || membership.awaits) && client.live) {
      this.delivery.goBack(client)
    }
  }

  private leave(membership: Membership): void {
    const { client, topic } = membership
    if (client.memberships.get(topic.name) !== membership) return
    this.delivery.flush()
    client.memberships.delete(topic.name)
    topic.leave(membership)
    this.topics.release(topic)
  }

  private received(
    topic: Topic,
    payload: string | Uint8Array,
    number?: number,
    shared?: boolean,
  ): void {
    this.counts.received++
    if (this.delivery.receive(topic, payload, number, shared)) return
    this.counts.refused++
    if (topic.hasRefused) return
    topic.hasRefused = true
    const hint = "Not UTF-8. Give the driver encoding: 'base64', or publish text."
    this.host.warn({ topic: topic.name, hint }, 'Messages of a topic are refused.')
  }

  private gapped(topic: Topic, reason: string, through?: number): void {
    this.counts.gaps++
    const place = this.delivery.tell(topic, 'messages-lost')
    if (through !== undefined) topic.log.miss(place, through)
    this.host.warn({ topic: topic.name, reason }, 'Messages of a topic may be missing.')
  }

  /** The broker has ended a subscription: everybody gets that in its place, then is without it. */
  private failed(topic: Topic, error: Error): void {
    this.counts.failures++
    const endedAt = this.delivery.tell(topic, 'subscription-failure')
    for (const membership of topic.members) membership.client.lose(membership, endedAt)
    void this.topics.close(topic)
    this.host.report(error, `The subscription to ${quote(topic)} has failed.`)
  }

  private closed(topic: Topic): void {
    // A topic that has failed keeps its frames for those who have not yet got them.
    if (topic.members.length === 0) this.delivery.drop(topic)
    this.host.closed(topic.name)
  }
}

/** Puts a client at a position of a log that was made anew. */
function restartClient(client: Client, position: number): void {
  client.cursor = position
  client.forgottenThrough = 0
  for (const membership of client.readable()) {
    membership.since = position
    membership.told = undefined
    membership.missesToldAt = -1
    membership.rewind = undefined
    membership.awaits = false
  }
}

function quote(topic: Topic): string {
  return `topic ${JSON.stringify(topic.name)}`
}

/** @throws OptionsError */
export function checkOptions({ rewind, after }: SubscribeOptions): void {
  if (rewind !== undefined && !(Number.isInteger(rewind) && rewind >= 0)) {
    throw new OptionsError(
      `subscribe's rewind takes a whole number from 0; it got ${String(rewind)}.`,
    )
  }
  if (rewind !== undefined && after !== undefined) {
    throw new OptionsError('subscribe takes rewind or after, not both.')
  }
}
