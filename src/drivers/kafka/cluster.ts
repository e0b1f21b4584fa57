import { performance } from 'node:perf_hooks'
import type { Subscription } from '../../driver.js'
import { Backoff } from '../../driver-kit/backoff.js'
import type { SourceEvents } from '../../driver-kit/sources.js'
import { Batch } from './batch.js'
import { inTime } from './in-time.js'
import type { Bounds } from './link.js'
import type { NodeEvents } from './node.js'
import { Node } from './node.js'
import { Pauses } from './pauses.js'
import { Partition, Reading } from './reading.js'
import { isRefusal } from './reasons.js'
import * as says from './says.js'
import { Seeds } from './seeds.js'
import type { Address, ClusterState, KafkaMessage, Library, TopicState } from './wire.js'
import { addressText, codes, isUnknownTopic } from './wire.js'

/** Codes that a change of leader or a restart brings, and that go by themselves. */
const PASSING: readonly number[] = [5, 6, 7, 8, 9, 13, 56, 74, 75, 78]

/** Codes for which there is nothing to wait for when a topic is opened. */
const FINAL: readonly number[] = [codes.unknownTopic, codes.invalidTopic, codes.notAllowed]

/**
 * The brokers of a cluster, and who of them is asked for which partition.
 *
 * A position is kept here, not on the broker: when a link is back, reading goes on from where it
 * stood, and nothing is missing unless Kafka has thrown it away in between.
 */
export class Cluster implements NodeEvents {
  readonly #nodes = new Map<number, Node>()
  readonly #seeds: Seeds
  readonly #readings = new Set<Reading>()
  readonly #pauses = new Pauses()
  readonly #topics = new Batch<string, TopicState>(async (names) => {
    const { topics } = await this.#ask(names)
    return new Map(topics)
  })
  readonly #backoff = new Backoff()
  #looking = false
  #lookAgain = false
  #timer: NodeJS.Timeout | undefined
  #refusedSince: number | undefined
  #closed: Error | undefined

  constructor(
    private readonly library: Library,
    private readonly bounds: Bounds,
  ) {
    this.#seeds = new Seeds(library, bounds.connectTimeout)
  }

  /** Finds out whether one of the configured brokers lets us in. */
  async connect(): Promise<void> {
    if (this.#nodes.size === 0) await this.#seeds.get()
  }

  /** Reads a topic from its end; settles when it does. */
  async open(topic: string, events: SourceEvents<KafkaMessage>): Promise<Subscription> {
    if (this.#closed) throw this.#closed
    const reading = new Reading(topic, events)
    this.#readings.add(reading)
    const { subscribeTimeout } = this.bounds
    let last: unknown
    this.#place(reading, (error) => (last = error)).catch((error: Error) => reading.fail(error))
    try {
      await inTime(reading.opened, subscribeTimeout, () => {
        const brokers = [...this.#nodes.values()].map(({ address }) => addressText(address))
        return says.notInTime(topic, subscribeTimeout, brokers, last)
      })
    } catch (error) {
      this.#drop(reading)
      throw error
    }
    this.#timer ??= setInterval(() => this.#look(), this.bounds.metadataInterval)
    return { close: async () => this.#drop(reading) }
  }

  /** At once: whoever waits is rejected, and nothing stays open. */
  close(): void {
    if (this.#closed) return
    this.#closed = says.closed()
    for (const reading of [...this.#readings]) {
      reading.reject(this.#closed)
      this.#drop(reading)
    }
    clearInterval(this.#timer)
    this.#pauses.close()
    this.#seeds.close()
    for (const node of this.#nodes.values()) node.close()
  }

  #drop(reading: Reading): void {
    reading.end()
    this.#readings.delete(reading)
    if (this.#readings.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  // How a topic is opened.

  async #place(reading: Reading, note: (error: unknown) => void): Promise<void> {
    const backoff = new Backoff({ first: 20, cap: 500 })
    for (; !reading.over; await this.#pauses.wait(backoff.next())) {
      const state = await this.#topics.get(reading.topic)
      if (FINAL.includes(state.error)) throw says.notThere(reading.topic, state.error)
      const leaderless = [...state.leaders.values()].some((leader) => !this.#nodes.has(leader))
      if (state.error !== 0 || leaderless || state.leaders.size === 0) {
        note(new Error('not every partition has a leader'))
        continue
      }
      try {
        const offsets = await this.#offsets(reading.topic, state.leaders, 'latest')
        if (reading.over) return
        reading.id = state.id
        for (const [partition, offset] of offsets) {
          reading.partitions.set(partition, new Partition(reading, partition, offset))
        }
        return this.#assign(reading, state)
      } catch (error) {
        if (this.#closed) throw this.#closed
        if (isRefusal(error)) throw says.refused(error)
        note(error)
      }
    }
  }

  async #offsets(
    topic: string,
    leaders: ReadonlyMap<number, number>,
    which: 'earliest' | 'latest',
  ): Promise<Map<number, bigint>> {
    const byNode = new Map<Node, { topic: string; partition: number }[]>()
    for (const [partition, leader] of leaders) {
      const node = this.#nodes.get(leader)
      if (node === undefined) throw new Error(`broker ${leader} is not known`)
      byNode.set(node, [...(byNode.get(node) ?? []), { topic, partition }])
    }
    const offsets = new Map<number, bigint>()
    const ask = async ([node, partitions]: [Node, { topic: string; partition: number }[]]) => {
      const answers = await node.control
        .use((wire) => wire.offsets(partitions, which))
        .catch((error: unknown) => {
          throw says.brokerUnreachable(node.address, error)
        })
      for (const { partition, error, offset } of answers) {
        if (error !== 0) throw says.notThere(topic, error)
        offsets.set(partition, offset)
      }
    }
    await Promise.all([...byNode].map(ask))
    return offsets
  }

  #assign(reading: Reading, { leaders }: TopicState): void {
    for (const partition of reading.partitions.values()) {
      if (partition.recovering) continue
      const node = this.#nodes.get(leaders.get(partition.partition) ?? -1)
      if (node?.has(partition)) continue
      partition.park()
      if (node) node.add(partition)
      else this.#look()
    }
  }

  // What the cluster says of itself.

  /** Asks whoever answers, of the brokers that are known and of those that were configured. */
  async #ask(names: readonly string[]): Promise<ClusterState> {
    for (const [id, node] of [...this.#nodes]) {
      try {
        return this.#meet(await node.control.use((wire) => wire.metadata(names)))
      } catch (error) {
        if (this.#closed) throw this.#closed
        if (isRefusal(error)) throw says.refused(error, node.address)
        // The next time, the others are asked first.
        if (this.#nodes.delete(id)) this.#nodes.set(id, node)
      }
    }
    const wire = await this.#seeds.get()
    const { responseTimeout } = this.bounds
    try {
      const late = () => new Error(`no answer within ${responseTimeout} ms`)
      return this.#meet(await inTime(wire.metadata(names), responseTimeout, late))
    } catch (error) {
      this.#seeds.release()
      throw says.unreachable(new Map([[addressText(wire.address), error]]))
    }
  }

  #meet(state: ClusterState): ClusterState {
    for (const [id, address] of state.brokers) {
      const known = this.#nodes.get(id)
      if (known && sameAddress(known.address, address)) continue
      known?.close()
      const node = new Node(address, this.library, this.bounds, this, this.#pauses)
      this.#nodes.set(id, node)
    }
    for (const [id, node] of this.#nodes) {
      if (state.brokers.has(id) || !node.idle) continue
      node.close()
      this.#nodes.delete(id)
    }
    const seed = this.#seeds.give()
    const same = [...this.#nodes.values()].find(
      ({ address }) => seed && sameAddress(address, seed.address),
    )
    if (seed && !same?.control.adopt(seed)) seed.close()
    return state
  }

  /** Sees to it that the cluster is looked at soon, and again until all is well. */
  #look(): void {
    this.#lookAgain = true
    if (this.#looking) return
    this.#looking = true
    void this.#keepLooking()
  }

  async #keepLooking(): Promise<void> {
    while (this.#lookAgain && !this.#closed) {
      this.#lookAgain = false
      const placed = [...this.#readings].filter(({ partitions }) => partitions.size > 0)
      if (placed.length === 0) break
      try {
        const { topics } = await this.#ask(placed.map(({ topic }) => topic))
        for (const reading of placed) {
          const state = topics.get(reading.topic)
          if (state && !reading.over) this.#follow(reading, state)
        }
        this.heard()
      } catch (error) {
        this.lost(error)
      }
      if (!this.#lookAgain) this.#backoff.reset()
      else await this.#pauses.wait(this.#backoff.next())
    }
    this.#looking = false
  }

  #follow(reading: Reading, state: TopicState): void {
    if (isUnknownTopic(state.error)) {
      reading.missingSince ??= performance.now()
      if (this.#isOver(reading.missingSince)) reading.fail(says.deleted(reading.topic))
      else this.#look()
      return
    }
    if (state.error === codes.notAllowed) return reading.fail(says.notAllowed(reading.topic))
    if (state.error !== 0) return this.#look()
    const missing = reading.missingSince !== undefined
    reading.missingSince = undefined
    if (reading.id !== state.id) {
      reading.id = state.id
      reading.renew()
      reading.gap(`The Kafka topic ${reading.topic} was deleted and made anew.`)
    } else if (missing && state.id === undefined) {
      void this.#doubt(reading, state)
    }
    for (const partition of state.leaders.keys()) {
      if (reading.partitions.has(partition)) continue
      // It did not exist when the topic was opened, so all that is in it is news.
      const added = new Partition(reading, partition, 0n)
      added.proven = true
      reading.partitions.set(partition, added)
    }
    this.#assign(reading, state)
  }

  #isOver(since: number): boolean {
    return performance.now() - since >= this.bounds.responseTimeout
  }

  // What the brokers say.

  refused(partition: Partition, code: number): void {
    const { reading } = partition
    partition.park()
    if (code === codes.notAllowed) return reading.fail(says.notAllowed(reading.topic))
    if (code === codes.offsetOutOfRange) return void this.#recover(partition)
    if (!PASSING.includes(code) && !isUnknownTopic(code)) {
      partition.troubledSince ??= performance.now()
      if (this.#isOver(partition.troubledSince)) {
        return reading.fail(says.troubled(reading.topic, partition.partition, code))
      }
    }
    this.#look()
  }

  unreadable(partition: Partition, error: Error): void {
    partition.reading.fail(says.unreadable(partition.topic, partition.partition, error))
  }

  lost(error: unknown): void {
    if (isRefusal(error)) {
      this.#refusedSince ??= performance.now()
      if (this.#isOver(this.#refusedSince)) {
        for (const reading of [...this.#readings]) reading.fail(says.refused(error))
      }
    }
    this.#look()
  }

  heard(): void {
    this.#refusedSince = undefined
  }

  /**
   * Kafka did not know the topic, and knows it again. It may be another one by the same name, in
   * which case all that is in it is news.
   */
  async #doubt(reading: Reading, { leaders }: TopicState): Promise<void> {
    const { topic } = reading
    const partitions = [...reading.partitions.values()]
    for (const partition of partitions) {
      partition.park()
      partition.recovering = true
    }
    try {
      const first = await this.#offsets(topic, leaders, 'earliest')
      const end = await this.#offsets(topic, leaders, 'latest')
      for (const partition of partitions) {
        const from = first.get(partition.partition) ?? 0n
        const to = end.get(partition.partition) ?? 0n
        if (partition.next < from || partition.next > to) partition.next = from
      }
      reading.gap(`Kafka did not know the topic ${topic} for a while.`)
    } catch (error) {
      reading.missingSince ??= performance.now()
      this.lost(error)
    } finally {
      for (const partition of partitions) partition.recovering = false
      this.#look()
    }
  }

  /** Its position is gone: further on, or behind what Kafka still has. */
  async #recover(partition: Partition): Promise<void> {
    const { reading, topic } = partition
    partition.recovering = true
    try {
      const { leaders } = await this.#topics.get(topic)
      const leader = new Map([[partition.partition, leaders.get(partition.partition) ?? -1]])
      const first = (await this.#offsets(topic, leader, 'earliest')).get(partition.partition)
      const end = (await this.#offsets(topic, leader, 'latest')).get(partition.partition)
      if (reading.over || first === undefined || end === undefined) return
      const behind = partition.next < first
      const reason = behind ? 'no longer has the next message' : 'has lost the latest messages'
      partition.next = behind ? first : end
      reading.gap(`Kafka ${reason} of partition ${partition.partition} of the topic ${topic}.`)
    } catch (error) {
      // It is asked for as before, and comes here again.
      this.lost(error)
    } finally {
      partition.recovering = false
      this.#look()
    }
  }
}

function sameAddress(one: Address, other: Address): boolean {
  return one.host === other.host && one.port === other.port
}
