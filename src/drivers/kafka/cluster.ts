import { performance } from 'node:perf_hooks'
import type { Subscription } from '../../driver.js'
import { Backoff, inTime, pause, Reach } from '../../driver-kit/index.js'
import type { SourceEvents } from '../../driver-kit/index.js'
import { Batch } from './batch.js'
import type { Bounds } from './broker-link.js'
import { Brokers } from './brokers.js'
import * as errors from './errors.js'
import type { NodeEvents } from './node.js'
import { Partition, TopicReader } from './topic-reader.js'
import type { KafkaMessage, Library, TopicState } from './wire.js'
import { codes, isUnknownTopic } from './wire.js'

/** Codes that a change of leader or a restart brings, and that pass by themselves. */
const TRANSIENT: readonly number[] = [5, 6, 7, 8, 9, 13, 56, 74, 75, 78]

/** Codes for which there is nothing to wait for when a topic is opened. */
const FINAL: readonly number[] = [codes.unknownTopic, codes.invalidTopic, codes.notAllowed]

/**
 * The topics of a cluster that are read, and which broker is asked for which partition.
 *
 * The driver keeps the positions, not the broker: when a link is back, reading goes on from where it
 * stood, and nothing is missing unless Kafka has deleted it in between.
 */
export class Cluster implements NodeEvents {
  /** Whether Kafka can be reached: see `Driver.brokerState`. */
  readonly state = new Reach()
  readonly #brokers: Brokers
  readonly #readers = new Set<TopicReader>()
  readonly #states = new Batch<string, TopicState>(async (names) => {
    const { topics } = await this.#brokers.metadata(names)
    return new Map(topics)
  })
  readonly #backoff = new Backoff()
  #looking = false
  #lookAgain = false
  #timer: NodeJS.Timeout | undefined
  #refusedSince: number | undefined

  /** @param closing Aborted when the driver is closed. */
  constructor(
    library: Library,
    private readonly bounds: Bounds,
    private readonly closing: AbortSignal,
    private readonly ignoreCompaction: boolean,
  ) {
    this.#brokers = new Brokers(library, bounds, this, closing)
  }

  /** Finds out whether one of the configured brokers lets us in. */
  connect(): Promise<void> {
    return this.#brokers.connect(this.state.down !== undefined)
  }

  /** Reads a topic from its end; settles when it does. */
  async open(topic: string, events: SourceEvents<KafkaMessage>): Promise<Subscription> {
    this.closing.throwIfAborted()
    const reader = new TopicReader(topic, events, this.ignoreCompaction)
    this.#readers.add(reader)
    const { subscribeTimeout } = this.bounds
    let last: unknown
    this.#place(reader, (error) => (last = error)).catch((error: Error) => reader.fail(error))
    try {
      await inTime(reader.opened, subscribeTimeout, () => {
        return errors.notInTime(topic, subscribeTimeout, this.#brokers.addresses(), last)
      })
    } catch (error) {
      this.#drop(reader)
      throw error
    }
    this.#timer ??= setInterval(() => this.#look(), this.bounds.metadataInterval)
    return { close: async () => this.#drop(reader) }
  }

  /** Closes everything at once. Those who wait get an error that says so. */
  close(): void {
    for (const reader of [...this.#readers]) {
      reader.reject(this.closing.reason as Error)
      this.#drop(reader)
    }
    clearInterval(this.#timer)
    this.#brokers.close()
  }

  #drop(reader: TopicReader): void {
    reader.end()
    this.#readers.delete(reader)
    if (this.#readers.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  // How a topic is opened.

  async #place(reader: TopicReader, note: (error: unknown) => void): Promise<void> {
    const backoff = new Backoff({ first: 20, cap: 500 })
    for (; !reader.over; await pause(backoff.next(), this.closing)) {
      const state = await this.#states.get(reader.topic)
      if (FINAL.includes(state.error)) throw errors.notThere(reader.topic, state.error)
      const leaderless = [...state.leaders.values()].some((leader) => !this.#brokers.get(leader))
      if (state.error !== 0 || leaderless || state.leaders.size === 0) {
        note(new Error('not every partition has a leader'))
        continue
      }
      try {
        const offsets = await this.#brokers.offsets(reader.topic, state.leaders, 'latest')
        if (reader.over) return
        reader.id = state.id
        for (const [partition, offset] of offsets) {
          reader.partitions.set(partition, new Partition(reader, partition, offset))
        }
        return this.#assign(reader, state)
      } catch (error) {
        this.closing.throwIfAborted()
        if (errors.isRefusal(error)) throw errors.refused(error)
        note(error)
      }
    }
  }

  #assign(reader: TopicReader, { leaders }: TopicState): void {
    for (const partition of reader.partitions.values()) {
      if (partition.recovering) continue
      const node = this.#brokers.get(leaders.get(partition.partition) ?? -1)
      if (node?.has(partition)) continue
      partition.park()
      if (node) node.add(partition)
      else this.#look()
    }
  }

  // What the cluster says of itself.

  /** Asks for the cluster's state soon, and again until every partition has its broker. */
  #look(): void {
    this.#lookAgain = true
    if (this.#looking) return
    this.#looking = true
    void this.#keepLooking()
  }

  async #keepLooking(): Promise<void> {
    while (this.#lookAgain && !this.closing.aborted) {
      this.#lookAgain = false
      const placed = [...this.#readers].filter(({ partitions }) => partitions.size > 0)
      if (placed.length === 0) break
      try {
        const { topics } = await this.#brokers.metadata(placed.map(({ topic }) => topic))
        for (const reader of placed) {
          const state = topics.get(reader.topic)
          if (state && !reader.over) this.#follow(reader, state)
        }
        this.heard()
        this.state.found()
      } catch (error) {
        // One broker may be away while the others go on: none has answered here.
        if (!this.closing.aborted) this.state.lost(error)
        this.lost(error)
      }
      if (!this.#lookAgain) this.#backoff.reset()
      else await pause(this.#backoff.next(), this.closing)
    }
    this.#looking = false
  }

  #follow(reader: TopicReader, state: TopicState): void {
    if (isUnknownTopic(state.error)) {
      reader.missingSince ??= performance.now()
      if (this.#isOver(reader.missingSince)) reader.fail(errors.deleted(reader.topic))
      else this.#look()
      return
    }
    if (state.error === codes.notAllowed) return reader.fail(errors.notAllowed(reader.topic))
    if (state.error !== 0) return this.#look()
    const missing = reader.missingSince !== undefined
    reader.missingSince = undefined
    if (reader.id !== state.id) {
      reader.id = state.id
      reader.renew()
      reader.gap(`The Kafka topic ${reader.topic} was deleted and made anew.`)
    } else if (missing && state.id === undefined) {
      void this.#doubt(reader, state)
    }
    for (const partition of state.leaders.keys()) {
      if (reader.partitions.has(partition)) continue
      // It did not exist when the topic was opened, so it is read from its beginning.
      const added = new Partition(reader, partition, 0n)
      added.proven = true
      reader.partitions.set(partition, added)
    }
    this.#assign(reader, state)
  }

  #isOver(since: number): boolean {
    return performance.now() - since >= this.bounds.responseTimeout
  }

  // What the brokers say.

  refused(partition: Partition, code: number): void {
    const { reader } = partition
    partition.park()
    if (code === codes.notAllowed) return reader.fail(errors.notAllowed(reader.topic))
    if (code === codes.offsetOutOfRange) return void this.#recover(partition)
    if (!TRANSIENT.includes(code) && !isUnknownTopic(code)) {
      partition.troubledSince ??= performance.now()
      if (this.#isOver(partition.troubledSince)) {
        return reader.fail(errors.troubled(reader.topic, partition.partition, code))
      }
    }
    this.#look()
  }

  unreadable(partition: Partition, error: Error): void {
    partition.reader.fail(errors.unreadable(partition.topic, partition.partition, error))
  }

  lost(error: unknown): void {
    if (errors.isRefusal(error)) {
      this.#refusedSince ??= performance.now()
      if (this.#isOver(this.#refusedSince)) {
        for (const reader of [...this.#readers]) reader.fail(errors.refused(error))
      }
    }
    this.#look()
  }

  heard(): void {
    this.#refusedSince = undefined
  }

  /**
   * Kafka did not know the topic for a while, and knows it again. It may be a new topic of that name,
   * which is read from its beginning.
   */
  async #doubt(reader: TopicReader, { leaders }: TopicState): Promise<void> {
    const { topic } = reader
    const partitions = [...reader.partitions.values()]
    for (const partition of partitions) {
      partition.park()
      partition.recovering = true
    }
    try {
      const first = await this.#brokers.offsets(topic, leaders, 'earliest')
      const end = await this.#brokers.offsets(topic, leaders, 'latest')
      for (const partition of partitions) {
        const from = first.get(partition.partition) ?? 0n
        const to = end.get(partition.partition) ?? 0n
        if (partition.next < from || partition.next > to) partition.next = from
      }
      reader.gap(`Kafka did not know the topic ${topic} for a while.`)
    } catch (error) {
      reader.missingSince ??= performance.now()
      this.lost(error)
    } finally {
      for (const partition of partitions) partition.recovering = false
      this.#look()
    }
  }

  /** Goes on from another position: Kafka has deleted what is there, or has lost it. */
  async #recover(partition: Partition): Promise<void> {
    const { reader, topic } = partition
    partition.recovering = true
    try {
      const { leaders } = await this.#states.get(topic)
      const leader = new Map([[partition.partition, leaders.get(partition.partition) ?? -1]])
      const first = (await this.#brokers.offsets(topic, leader, 'earliest')).get(
        partition.partition,
      )
      const end = (await this.#brokers.offsets(topic, leader, 'latest')).get(partition.partition)
      if (reader.over || first === undefined || end === undefined) return
      const behind = partition.next < first
      const reason = behind ? 'no longer has the next message' : 'has lost the latest messages'
      partition.next = behind ? first : end
      reader.gap(`Kafka ${reason} of partition ${partition.partition} of the topic ${topic}.`)
    } catch (error) {
      // The fetch from the old position is refused again, and leads here again.
      this.lost(error)
    } finally {
      partition.recovering = false
      this.#look()
    }
  }
}
