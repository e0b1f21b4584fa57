import type { Client } from './client.js'
import type { Timers } from './clock.js'
import type { Delivery } from './delivery.js'
import type { Driver } from './driver.js'
import { OptionsError, SubscribeError, TooManyTopicsError, UnifrostError } from './errors.js'
import { Membership } from './membership.js'
import { checkTopicName } from './names.js'
import type { Settings } from './options.js'
import type { Counters } from './stats.js'
import type { Topic } from './topic.js'
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
      received: (topic, payload) => this.received(topic, payload),
      gapped: (topic, reason) => this.gapped(topic, reason),
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
  async subscribe(client: Client, name: string, options: SubscribeOptions): Promise<void> {
    checkTopicName(name, this.settings.maxTopicLength)
    checkOptions(options)
    const membership = client.memberships.get(name) ?? this.join(client, name, options)
    try {
      await membership.topic.opened
    } catch (cause) {
      this.leave(membership)
      throw cause instanceof UnifrostError ? cause : new SubscribeError(name, cause)
    }
    if (membership.endedAt !== undefined) {
      throw new SubscribeError(name, new Error('It was opened, and ended at once.'))
    }
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

  /** Lets every topic go on the broker. */
  async close(): Promise<void> {
    await this.topics.closeAll()
  }

  private join(client: Client, name: string, { rewind, after }: SubscribeOptions): Membership {
    if (client.totalTopics >= this.settings.maxTopics) {
      throw new TooManyTopicsError(this.settings.maxTopics)
    }
    this.delivery.flush()
    const topic = this.topics.acquire(name)
    const membership = new Membership(client, topic, this.delivery.history.last)
    topic.join(membership)
    client.memberships.set(name, membership)
    if (rewind !== undefined && rewind > 0) {
      const first = topic.log.at(Math.max(0, topic.log.length - rewind))
      if (first !== undefined) membership.rewind = { from: first.number - 1, exact: false }
    } else if (after !== undefined) {
      const from = this.delivery.locate(after)
      if (from !== undefined) membership.rewind = { from, exact: true }
    }
    if (membership.rewind !== undefined && client.live) this.delivery.goBack(client)
    return membership
  }

  private leave(membership: Membership): void {
    const { client, topic } = membership
    if (client.memberships.get(topic.name) !== membership) return
    this.delivery.flush()
    client.memberships.delete(topic.name)
    topic.leave(membership)
    this.topics.release(topic)
  }

  private received(topic: Topic, payload: string | Uint8Array): void {
    this.counts.received++
    if (this.delivery.receive(topic, payload)) return
    this.counts.refused++
    if (topic.hasRefused) return
    topic.hasRefused = true
    const hint = "Not UTF-8. Give the driver encoding: 'base64', or publish text."
    this.host.warn({ topic: topic.name, hint }, 'Messages of a topic are refused.')
  }

  private gapped(topic: Topic, reason: string): void {
    this.counts.gaps++
    this.delivery.tell(topic, 'messages-lost')
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

function quote(topic: Topic): string {
  return `topic ${JSON.stringify(topic.name)}`
}

function checkOptions({ rewind, after }: SubscribeOptions): void {
  if (rewind !== undefined && !(Number.isInteger(rewind) && rewind >= 0)) {
    throw new OptionsError(
      `subscribe's rewind takes a whole number from 0; it got ${String(rewind)}.`,
    )
  }
  if (rewind !== undefined && after !== undefined) {
    throw new OptionsError('subscribe takes rewind or after, not both.')
  }
}
