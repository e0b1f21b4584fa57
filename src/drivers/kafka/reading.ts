import type { SourceEvents } from '../../driver-kit/sources.js'
import type { FetchAnswer, KafkaMessage, PartitionName } from './wire.js'

/** One partition of a topic that is read: where it stands, and who asks for it. */
export class Partition implements PartitionName {
  /** Who asks the broker for it now: nobody while its broker is not known. */
  lane: { remove(partition: Partition): void } | undefined
  /** Rises whenever it moves or jumps: an answer to an older question is none. */
  turn = 0
  /** Whether the broker has let us read it. */
  proven = false
  /** Whether it is being found out from where to go on. */
  recovering = false
  /** Since when it can't be read, for a reason that is no lost link. */
  troubledSince: number | undefined

  constructor(
    readonly reading: Reading,
    readonly partition: number,
    /** The offset of the next message. */
    public next: bigint,
  ) {}

  get topic(): string {
    return this.reading.topic
  }

  get id(): string | undefined {
    return this.reading.id
  }

  /** Nobody asks for it any more, and what was asked no longer counts. */
  park(): void {
    this.turn++
    this.lane?.remove(this)
    this.lane = undefined
  }
}

/** One Kafka topic that is read from its end, every partition of it. */
export class Reading {
  readonly partitions = new Map<number, Partition>()
  /** Settles when all of it is read, or when it can't be. */
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
  ) {
    this.opened = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Hands over what a partition has, and moves it on. */
  take(partition: Partition, { messages, next }: FetchAnswer): void {
    partition.proven = true
    partition.troubledSince = undefined
    for (const message of messages) {
      if (this.over) return
      this.#tell(() => this.events.message(message))
    }
    if (next !== undefined && next > partition.next) partition.next = next
    this.checkOpen()
  }

  checkOpen(): void {
    if (this.#isOpen || this.over || this.partitions.size === 0) return
    for (const { proven } of this.partitions.values()) if (!proven) return
    this.#isOpen = true
    this.#resolve()
  }

  gap(reason: string): void {
    if (this.over) return
    this.#tell(() => this.events.gap(reason))
  }

  /** The topic was made anew: it is read from its beginning. */
  renew(): void {
    for (const partition of this.partitions.values()) partition.park()
    this.partitions.clear()
  }

  /** Whoever waits for it to open waits in vain. */
  reject(error: Error): void {
    this.#reject(error)
  }

  /** It is over, with a word to whoever waits for it or reads it. */
  fail(error: Error): void {
    if (this.over) return
    this.end()
    if (this.#isOpen) this.#tell(() => this.events.fail(error))
    else this.#reject(error)
  }

  /** It is over. */
  end(): void {
    this.over = true
    for (const partition of this.partitions.values()) partition.park()
  }

  /** What is thrown in a sink must not stop the other topics of the same answer. */
  #tell(call: () => void): void {
    try {
      call()
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error))
    }
  }
}
