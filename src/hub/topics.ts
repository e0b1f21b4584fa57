import type { Driver } from '../driver.js'
import type { HubHistory } from './history.js'
import { KIND } from './packets.js'
import { HubTopic } from './topic.js'

/** The topics of a hub: each is open on the broker once, however many workers have it. */
export class HubTopics {
  readonly #byName = new Map<string, HubTopic>()
  #lastId = 0

  /**
   * @param linger How long a topic stays open that no worker has, in milliseconds.
   * @param appended Called when the history has a new entry.
   */
  constructor(
    private readonly driver: Driver,
    private readonly history: HubHistory,
    private readonly linger: number,
    private readonly appended: () => void,
  ) {}

  get size(): number {
    return this.#byName.size
  }

  /** A topic that is open, lingering or not. */
  get(name: string): HubTopic | undefined {
    const topic = this.#byName.get(name)
    return topic === undefined || topic.openedAt === Infinity ? undefined : topic
  }

  /** Opens a topic for one more worker. It rejects with the driver's error. */
  async open(name: string): Promise<HubTopic> {
    const topic = this.#byName.get(name) ?? this.#make(name)
    topic.users++
    clearTimeout(topic.lingering)
    try {
      await (topic.opening ??= this.#subscribe(topic))
    } catch (error) {
      topic.users--
      throw error
    }
    return topic
  }

  /** One more worker has a topic that is open. */
  join(topic: HubTopic): void {
    topic.users++
    clearTimeout(topic.lingering)
  }

  /** One worker less has it. The last one leaves it lingering. */
  leave(topic: HubTopic): void {
    topic.users--
    if (topic.users > 0 || topic.isOver) return
    clearTimeout(topic.lingering)
    topic.lingering = setTimeout(() => void this.#end(topic), this.linger)
    topic.lingering.unref()
  }

  /** Closes all of them. */
  async close(): Promise<void> {
    await Promise.all([...this.#byName.values()].map((topic) => this.#end(topic)))
  }

  #make(name: string): HubTopic {
    const topic = new HubTopic(++this.#lastId, name)
    this.#byName.set(name, topic)
    return topic
  }

  async #subscribe(topic: HubTopic): Promise<void> {
    let failure: Error | undefined
    const keep = (append: () => void) => {
      // Before the broker has opened it, no worker counts on anything.
      if (topic.isOver || topic.openedAt === Infinity) return
      append()
      this.appended()
    }
    try {
      topic.subscription = await this.driver.subscribe(topic.name, {
        message: (payload) => keep(() => this.history.message(topic, payload)),
        gap: (reason) => keep(() => this.history.append(topic, KIND.gap, reason)),
        fail: (error) => {
          failure = error
          keep(() => this.history.append(topic, KIND.fail, error.message))
          if (topic.openedAt < Infinity) void this.#end(topic)
        },
      })
      if (failure !== undefined) throw failure
      topic.openedAt = this.history.last
    } catch (error) {
      void this.#end(topic)
      throw error
    }
    if (topic.isOver) await this.#release(topic)
  }

  async #end(topic: HubTopic): Promise<void> {
    if (topic.isOver) return
    topic.isOver = true
    clearTimeout(topic.lingering)
    // Opened again, it begins behind every position that a client of now may name.
    this.history.takeNumber()
    this.appended()
    if (this.#byName.get(topic.name) === topic) this.#byName.delete(topic.name)
    await this.#release(topic)
  }

  async #release(topic: HubTopic): Promise<void> {
    const { subscription } = topic
    topic.subscription = undefined
    // What a broker says to the end of a topic changes nothing here.
    await subscription?.close().catch(() => undefined)
  }
}
