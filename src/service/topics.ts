import type { Timers } from '../clock.js'
import type { Driver, Subscription } from '../driver.js'
import { StreamerClosedError, TooManyOpenTopicsError } from '../errors.js'
import type { Delivery } from '../delivery/delivery.js'
import type { Topic, TopicHost } from '../delivery/topic.js'
import type { Settings } from '../options.js'
import { IdleTopics } from './idle-topics.js'

/** What the topics tell their Streamer. */
export interface TopicsHost extends TopicHost {
  /** Gives a new topic what it keeps. */
  equip(topic: Topic): void
  opened(topic: Topic): void
  /** Its frames can be let go. */
  closed(topic: Topic): void
  /** The driver could not let it go in order. */
  closeFailed(topic: Topic, error: unknown): void
}

/** For whom a topic is opened: the owner of a client, or else the address that the client is for. */
export interface Opener {
  owner: string | undefined
  address: string | undefined
}

/** Before the name of an owner and before an address, so that neither is taken for the other. */
const OWNER = 'owner '
const ADDRESS = 'address '

/** How many topics that have ended are remembered. */
const MOST_ENDED = 10_000

type Limits = Pick<
  Settings,
  'topicLinger' | 'maxOpenTopics' | 'maxOpenTopicsPerOwner' | 'maxOpenTopicsPerAddress'
>

/**
 * The topics that are open on the broker, each once. A topic without clients is closed after
 * `topicLinger`, or earlier where its room is needed. A topic that is asked for again while it is being closed is opened anew after that.
 */
export class Topics {
  private readonly current = new Map<string, Topic>()
  /** Those that have ended, for who asks for them later; the one that ended first is the first. */
  private readonly ended = new Map<string, Topic>()
  private readonly closing = new Map<string, Promise<void>>()
  /** Who has opened each of the open topics, and how many each has. */
  private readonly openers = new Map<Topic, string | undefined>()
  private readonly opened = new Map<string, number>()
  private readonly idle = new IdleTopics()

  constructor(
    private readonly driver: Driver,
    private readonly limits: Limits,
    private readonly timers: Timers,
    private readonly delivery: Pick<Delivery, 'newTopic'>,
    private readonly host: TopicsHost,
  ) {}

  /** How many are open or being opened. */
  get size(): number {
    return this.current.size
  }

  /** All that are open or being opened. */
  all(): Topic[] {
    return [...this.current.values()]
  }

  get(name: string): Topic | undefined {
    return this.current.get(name)
  }

  /**
   * The topic of this name. It is opened if need be: `topic.opened` settles then.
   *
   * @param granted Whether it is opened whatever the limits say: for a client that comes from
   *   another server with it.
   * @throws TooManyOpenTopicsError
   */
  acquire(name: string, opener: Opener, granted = false): Topic {
    const ended = this.ended.get(name)
    if (ended !== undefined) return ended
    const current = this.current.get(name)
    if (current !== undefined) {
      this.timers.cancel(current.lingering)
      this.idle.delete(current)
      return current
    }
    const key = keyOf(opener)
    this.makeRoom(key, granted)
    const topic = this.delivery.newTopic(name, this.host)
    this.host.equip(topic)
    this.current.set(name, topic)
    this.openers.set(topic, key)
    this.count(key, 1)
    // Never at once: a driver may call the sink inside `subscribe`, and the client that asked for the
    // topic must be among its members by then.
    const before = this.closing.get(name) ?? Promise.resolve()
    topic
      .open(() => before.then(() => this.openOnBroker(topic)))
      .then(
        () => {
          if (topic.isOver) return
          this.host.opened(topic)
          this.release(topic)
        },
        () => this.forget(topic),
      )
    return topic
  }

  /** Closes a topic without clients, after `topicLinger`. */
  release(topic: Topic): void {
    if (topic.members.length > 0 || topic.isOver || !topic.isOpen) return
    this.timers.cancel(topic.lingering)
    if (topic.keeping?.holds === true) {
      // What it keeps is true as long as the topic is open.
      this.idle.add(topic, this.openers.get(topic))
      return
    }
    const linger = topic.keeping?.rule.linger ?? this.limits.topicLinger
    const wait = Math.max(linger, topic.heldUntil - this.timers.clock.now())
    if (wait <= 0) {
      void this.close(topic)
      return
    }
    topic.lingering = this.timers.after(wait, () => void this.close(topic))
    this.idle.add(topic, this.openers.get(topic))
  }

  /** Closes a topic now. Never rejects. */
  close(topic: Topic): Promise<void> {
    this.timers.cancel(topic.lingering)
    topic.keeping?.clear()
    this.forget(topic)
    const closed = this.letGo(topic)
    this.host.closed(topic)
    return closed
  }

  /** Closes a topic on the broker, behind an earlier one of its name. Never rejects. */
  private letGo(topic: Topic): Promise<void> {
    const before = this.closing.get(topic.name)
    const closed = topic
      .close((error) => this.host.closeFailed(topic, error))
      .then(() => before)
      .then(() => {
        if (this.closing.get(topic.name) === closed) this.closing.delete(topic.name)
      })
    this.closing.set(topic.name, closed)
    return closed
  }

  /** A topic that nobody has open, for one that ends. */
  unopened(name: string): Topic {
    const topic = this.delivery.newTopic(name, this.host)
    this.host.equip(topic)
    return topic
  }

  /** The topic that has ended under this name, or undefined. */
  endedOf(name: string): Topic | undefined {
    return this.ended.get(name)
  }

  /** Closes a topic that has ended, and remembers it. */
  end(topic: Topic): void {
    const wasOpen = this.current.get(topic.name) === topic
    this.timers.cancel(topic.lingering)
    this.forget(topic)
    this.ended.set(topic.name, topic)
    if (wasOpen) void this.letGo(topic)
    if (this.ended.size <= MOST_ENDED) return
    const oldest = this.ended.values().next().value!
    this.ended.delete(oldest.name)
    oldest.keeping?.clear()
  }

  /** Closes every topic. It does not wait for topics whose opening hangs. */
  async closeAll(): Promise<void> {
    const topics = this.all()
    for (const topic of topics) if (!topic.isOpen) void this.close(topic)
    await Promise.all(topics.filter((topic) => topic.isOpen).map((topic) => this.close(topic)))
  }

  private openOnBroker(topic: Topic): Promise<Subscription> {
    if (topic.isOver) throw new StreamerClosedError()
    return this.driver.subscribe(topic.name, topic)
  }

  /** Makes room for one more topic, at the cost of one that lingers. @throws TooManyOpenTopicsError */
  private makeRoom(opener: string | undefined, granted: boolean): void {
    const { maxOpenTopics, maxOpenTopicsPerOwner, maxOpenTopicsPerAddress } = this.limits
    if (opener !== undefined) {
      const per = opener.startsWith(OWNER) ? 'owner' : 'address'
      const most = per === 'owner' ? maxOpenTopicsPerOwner : maxOpenTopicsPerAddress
      const isFull = (this.opened.get(opener) ?? 0) >= most
      if (isFull && !this.closeIdle(this.idle.firstOf(opener)) && !granted) {
        throw new TooManyOpenTopicsError(most, per)
      }
    }
    const isFull = this.current.size >= maxOpenTopics
    if (isFull && !this.closeIdle(this.idle.first) && !granted) {
      throw new TooManyOpenTopicsError(maxOpenTopics)
    }
  }

  private closeIdle(topic: Topic | undefined): boolean {
    if (topic !== undefined) void this.close(topic)
    return topic !== undefined
  }

  private count(opener: string | undefined, change: 1 | -1): void {
    if (opener === undefined) return
    const count = (this.opened.get(opener) ?? 0) + change
    if (count > 0) this.opened.set(opener, count)
    else this.opened.delete(opener)
  }

  private forget(topic: Topic): void {
    if (this.current.get(topic.name) !== topic) return
    this.current.delete(topic.name)
    this.idle.delete(topic)
    this.count(this.openers.get(topic), -1)
    this.openers.delete(topic)
  }
}

/** Clients with an owner count for that one, others for their address, if they have one. */
function keyOf({ owner, address }: Opener): string | undefined {
  if (owner !== undefined) return OWNER + owner
  return address === undefined ? undefined : ADDRESS + address
}
