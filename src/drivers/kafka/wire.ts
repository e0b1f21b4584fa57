/**
 * What the driver needs of a Kafka library: single requests on single connections. Each library has
 * a file that adapts it to this. What decides something is written once, above: which broker to
 * ask, when a silent one is given up, from which offset to go on.
 */

/** One message, whichever library has read it. */
export interface KafkaMessage {
  /** The Kafka topic that it stands in. */
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  /** Milliseconds since 1970, by the producer's clock or the broker's, as the topic is set. */
  readonly timestamp: number
  readonly key: Buffer | null
  /** Null is a tombstone: the message that deletes its key from a compacted topic. */
  readonly value: Buffer | null
  /** By name. Where a name comes several times, the last one. */
  readonly headers: Readonly<Record<string, Buffer | undefined>>
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** What the cluster says of itself and of the topics that it was asked for. */
export interface ClusterState {
  readonly brokers: ReadonlyMap<number, Address>
  readonly topics: ReadonlyMap<string, TopicState>
}

export interface TopicState {
  /** 0, or one of {@link codes}. */
  readonly error: number
  /** Changes when the topic is deleted and made anew. Undefined where the library does not tell. */
  readonly id?: string
  /** The broker that leads each partition, -1 for none. */
  readonly leaders: ReadonlyMap<number, number>
}

export interface PartitionName {
  readonly topic: string
  readonly partition: number
}

export interface OffsetAnswer extends PartitionName {
  readonly error: number
  readonly offset: bigint
}

export interface FetchQuery extends PartitionName {
  readonly id: string | undefined
  readonly offset: bigint
}

export interface FetchAnswer extends PartitionName {
  readonly error: number
  /** The messages from the requested offset on, without those of aborted transactions. */
  readonly messages: readonly KafkaMessage[]
  /** The offset to go on from, if anything was there. */
  readonly next: bigint | undefined
  /** The offsets before which compaction has removed messages: each of a record, or `next`. */
  readonly holes?: readonly bigint[]
}

/** One connection to one broker. */
export interface Wire {
  readonly address: Address
  /** Whether it is open, as far as anybody has noticed. */
  readonly alive: boolean
  connect(): Promise<void>
  metadata(topics: readonly string[]): Promise<ClusterState>
  offsets(
    partitions: readonly PartitionName[],
    which: 'earliest' | 'latest',
  ): Promise<OffsetAnswer[]>
  /**
   * Waits for messages for up to `wait` milliseconds.
   *
   * @throws UnreadableError for what arrived and can't be decoded.
   */
  fetch(partitions: readonly FetchQuery[], wait: number): Promise<FetchAnswer[]>
  /** Closes it at once, also while it connects. Requests that are under way reject. */
  close(): void
}

/** A Kafka library with what it needs to know to connect. */
export interface Library {
  /** A connection that is not open yet: to `address`, or to the next of the configured ones. */
  wire(address?: Address): Promise<Wire>
}

/** The answer has arrived and can't be decoded, for example for its compression. */
export class UnreadableError extends Error {}

/** Limits of one answer, in bytes. Its first message comes even if it is larger. */
export const FETCH_BYTES = { partition: 512 * 1024, total: 4 * 1024 * 1024 }

/** Kafka's isolation level that leaves out open transactions and tells of aborted ones. */
export const READ_COMMITTED = 1

/** The broker's error codes that the driver tells apart. */
export const codes = {
  offsetOutOfRange: 1,
  unknownTopic: 3,
  invalidTopic: 17,
  notAllowed: 29,
  unknownTopicId: 100,
  inconsistentTopicId: 103,
} as const

/** Codes that say that the topic, as we know it, is not there. */
export function isUnknownTopic(code: number): boolean {
  return (
    code === codes.unknownTopic ||
    code === codes.unknownTopicId ||
    code === codes.inconsistentTopicId
  )
}

export function addressText({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
