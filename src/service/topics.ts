import type { Timers } from '../clock.js'
import type { Driver, Subscription } from '../driver.js'
import { StreamerClosedError } from '../errors.js'
import type { Delivery } from '../delivery/delivery.js'
import type { Topic, TopicHost } from '../delivery/topic.js'

/** What the topics tell their Streamer. */
export interface TopicsHost extends TopicHost {
  opened(topic: Topic): void
  /** Its frames can be let go. */
  closed(topic: Topic): void
  /** The driver could not let it go in order. */
  closeFailed(topic: Topic, error: unknown): void
}

/**
 * The topics that are open on the broker, each once. A topic without clients is closed after
 * `topicLinger`. A topic that is asked for again while it is being closed is opened anew after that.
 */
export class Topics {
  private readonly current = new Map<string, Topic>()
  private readonly closing = new Map<string, Promise<void>>()

  constructor(
    private readonly driver: Driver,
    private readonly linger: number,
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

  /** The topic of this name. It is opened if need be: `topic.opened` settles then. */
  acquire(name: string): Topic {
    const current = this.current.get(name)
    if (current !== undefined) {
      this.timers.cancel(current.lingering)
      return current
    }
    const topic = this.delivery.newTopic(name, this.host)
    this.current.set(name, topic)
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
    const wait = Math.max(this.linger, topic.heldUntil - this.timers.clock.now())
    if (wait <= 0) void this.close(topic)
    else topic.lingering = this.timers.after(wait, () => void this.close(topic))
  }

  /** Closes a topic now. Never rejects. */
  close(topic: Topic): Promise<void> {
    this.timers.cancel(topic.lingering)
    this.forget(topic)
    const before = this.closing.get(topic.name)
    const closed = topic
      .close((error) => this.host.closeFailed(topic, error))
      .then(() => before)
      .then(() => {
        if (this.closing.get(topic.name) === closed) this.closing.delete(topic.name)
      })
    this.closing.set(topic.name, closed)
    this.host.closed(topic)
    return closed
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

  private forget(topic: Topic): void {
    if (this.current.get(topic.name) === topic) this.current.delete(topic.name)
  }
}
