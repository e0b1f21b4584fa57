import type { SourceEvents } from '../../driver-kit/index.js'
import type { FetchAnswer, KafkaMessage, PartitionName } from './wire.js'

/** One partition of a topic that is read: its position, and the lane that fetches it. */
export class Partition implements PartitionName {
  /** The lane that fetches it now: none while its broker is not known. */
  lane: { remove(partition: Partition): void } | undefined
  /**
   * Rises when the partition moves to another broker or position. An example: it is fetched from
   * offset 5 in generation 1, jumps to offset 9 in generation 2, and the answer from 5 is ignored.
   */
  generation = 0
  /** Whether the broker has let us read it. */
  proven = false
  /** Whether Kafka is being asked for the position to go on from. */
  recovering = false
  /** Since when it can't be read, for a reason that is no lost link. */
  troubledSince: number | undefined

  constructor(
    readonly reader: TopicReader,
    readonly partition: number,
    /** The offset of the next message. */
    public next: bigint,
  ) {}

  get topic(): string {
    return this.reader.topic
  }

  get id(): string | undefined {
    return this.reader.id
  }

  /** It is not fetched any more, and answers that are under way do not count. */
  park(): void {
    this.generation++
    this.lane?.remove(this)
    this.lane = undefined
  }
}

/** One Kafka topic that is read from its end, every partition of it. */
export class TopicReader {
  readonly partitions = new Map<number, Partition>()
  /** Settles when every partition is read, or when one can't be. */
  readonly opened: Promise<void>
  id: string | undefined
  over = false
  /** Since when the cluster does not know the topic. */
  missingSince: number | undefined
  #isOpen = false
  #resolve: () => void = () => undefined
  #reject: (error: Error) => void = () => undefined

  constructor(
    readonly topic: string,
    private readonly events: SourceEvents<KafkaMessage>,
    /** Whether what compaction has removed is no loss. */
    private readonly ignoreCompaction: boolean,
  ) {
    this.opened = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Hands the messages of a fetch over, and moves the partition on. */
  take(partition: Partition, { messages, next, holes = [] }: FetchAnswer): void {
    partition.proven = true
    partition.troubledSince = undefined
    const ahead = this.ignoreCompaction ? [] : [...holes]
    for (const message of messages) {
      if (this.over) return
      if (ahead[0] !== undefined && ahead[0] <= message.offset) {
        this.compacted(partition, ahead[0])
        while (ahead[0] !== undefined && ahead[0] <= message.offset) ahead.shift()
      }
      this.events.message(message)
    }
    if (ahead[0] !== undefined) this.compacted(partition, ahead[0])
    if (next !== undefined && next > partition.next) partition.next = next
    this.checkOpen()
  }

  private compacted({ partition, topic }: Partition, offset: bigint): void {
    this.gap(
      `Kafka no longer has what stood before offset ${offset} of partition ${partition} of the ` +
        `topic ${topic}: it was compacted. If that is meant, set ignoreCompaction.`,
    )
  }

  checkOpen(): void {
    if (this.#isOpen || this.over || this.partitions.size === 0) return
    for (const { proven } of this.partitions.values()) if (!proven) return
    this.#isOpen = true
    this.#resolve()
  }

  gap(reason: string): void {
    if (this.over) return
    this.events.gap(reason)
  }

  /** The topic was made anew: it is read from its beginning. */
  renew(): void {
    for (const partition of this.partitions.values()) partition.park()
    this.partitions.clear()
  }

  /** Opening it has failed. */
  reject(error: Error): void {
    this.#reject(error)
  }

  /** It is over: opening it fails, or the subscribers are told. */
  fail(error: Error): void {
    if (this.over) return
    this.end()
    if (this.#isOpen) this.events.fail(error)
    else this.#reject(error)
  }

  /** It is over. */
  end(): void {
    this.over = true
    for (const partition of this.partitions.values()) partition.park()
  }
}
