import type { Socket } from 'node:net'
import { OptionsError } from '../../errors.js'
import { readMessages } from './kafkajs-records.js'
import type { RawMessage } from './kafkajs-records.js'
import type { Address, FetchAnswer, Library, OffsetAnswer, Wire } from './wire.js'
import { FETCH_BYTES, READ_COMMITTED, UnreadableError } from './wire.js'

/**
 * A `Kafka` of kafkajs. Its public API reads through consumer groups only: each server would need a
 * group of its own, and would join it anew for every new topic. The layer below has no groups, and is
 * private. So only version 2.2.4 is taken, the library's last.
 */
export interface KafkaJsClient {
  producer(...args: never[]): unknown
  consumer(...args: never[]): unknown
  admin(...args: never[]): unknown
  logger(): unknown
}

/** The private parts, as they are in 2.2.4. */
interface Cluster {
  connectionPoolBuilder: { build(address?: Address): Promise<Pool> }
  brokerPool: { createBroker(options: { connectionPool: Pool; logger: unknown }): Broker }
}

interface Broker {
  connect(): Promise<void>
  metadata(topics: readonly string[]): Promise<MetadataAnswer>
  listOffsets(request: object): Promise<{ responses: OffsetTopic[] }>
  fetch(request: object): Promise<{ errorCode?: number; responses: FetchTopic[] }>
}

interface Pool extends Address {
  pool: Connection[]
  getConnection(index: number): Promise<Connection>
  getConnectionByRequest(request: unknown): Promise<Connection>
  send(request: ProtocolRequest): Promise<unknown>
}

interface Connection {
  socket?: Socket
  authHandlers: { onError(): void } | null
  sasl: object | null
  isConnected(): boolean
  rejectRequests(error: Error): void
  disconnect(): Promise<unknown>
}

interface ProtocolRequest {
  request: { apiName: string }
  response: object
}

interface MetadataAnswer {
  brokers: (Address & { nodeId: number })[]
  topicMetadata: {
    topicErrorCode: number
    topic: string
    partitionMetadata: { partitionId: number; leader: number }[]
  }[]
}

interface OffsetTopic {
  topic: string
  partitions: { partition: number; errorCode: number; offset: string }[]
}

interface FetchTopic {
  topicName: string
  partitions: {
    partition: number
    errorCode: number
    abortedTransactions?: { producerId: string; firstOffset: string }[] | null
    messages: RawMessage[]
  }[]
}

/** Requests whose answers say for each topic what is wrong with it. */
const PER_TOPIC = ['Metadata', 'ListOffsets', 'Fetch']

export function isKafkaJs(target: unknown): target is KafkaJsClient {
  const { producer, consumer, admin, logger } = (target ?? {}) as Partial<KafkaJsClient>
  return [producer, consumer, admin, logger].every((member) => typeof member === 'function')
}

/** Connections with the settings of `kafka`, none of them its own. */
export function kafkaJsLibrary(kafka: KafkaJsClient): Library {
  const create = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === 'private:Kafka:createCluster',
  )
  const make = create && (kafka as unknown as Record<symbol, (o: object) => Cluster>)[create]
  const cluster = make?.call(kafka, { allowAutoTopicCreation: false })
  if (typeof cluster?.connectionPoolBuilder?.build !== 'function') throw strange()
  if (typeof cluster.brokerPool?.createBroker !== 'function') throw strange()
  const { connectionPoolBuilder, brokerPool } = cluster
  return {
    async wire(address) {
      const pool = await connectionPoolBuilder.build(address)
      const broker = brokerPool.createBroker({ connectionPool: pool, logger: kafka.logger() })
      return new KafkaJsWire(pool, broker)
    },
  }
}

function strange(): OptionsError {
  return new OptionsError(
    'kafkaDriver got a Kafka client that is like that of kafkajs, but not as version 2.2.4 makes ' +
      'it, which is the one that it knows. Install kafkajs@2.2.4, or take @platformatic/kafka.',
  )
}

class KafkaJsWire implements Wire {
  readonly address: Address
  readonly #connection: Connection
  #closed = false

  constructor(
    pool: Pool,
    private readonly broker: Broker,
  ) {
    this.address = { host: pool.host, port: pool.port }
    // The library keeps a second connection for fetches. Here each wire has one kind of request.
    this.#connection = pool.pool[0] as Connection
    pool.pool.length = 1
    // The library remembers the password in this object, which is the user's.
    if (this.#connection.sasl) this.#connection.sasl = { ...this.#connection.sasl }
    pool.getConnectionByRequest = () => pool.getConnection(0)
    const send = pool.send.bind(pool)
    pool.send = (request) => {
      if (this.#closed) return Promise.reject(closedError())
      if (!PER_TOPIC.includes(request.request.apiName)) return send(request)
      // The library would throw the first error of a topic, and drop the answers for the others.
      return send({ ...request, response: { ...request.response, parse: keep } })
    }
  }

  get alive(): boolean {
    return !this.#closed && this.#connection.isConnected()
  }

  connect(): Promise<void> {
    return this.broker.connect()
  }

  async metadata(topics: readonly string[]) {
    const { brokers, topicMetadata } = await this.broker.metadata(topics)
    return {
      brokers: new Map(brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }])),
      topics: new Map(
        topicMetadata.map(({ topic, topicErrorCode, partitionMetadata }) => {
          const leaders = partitionMetadata.map(
            ({ partitionId, leader }) => [partitionId, leader] as const,
          )
          return [topic, { error: topicErrorCode, leaders: new Map(leaders) }]
        }),
      ),
    }
  }

  async offsets(
    partitions: readonly { topic: string; partition: number }[],
    which: 'earliest' | 'latest',
  ): Promise<OffsetAnswer[]> {
    const timestamp = which === 'latest' ? '-1' : '-2'
    const { responses } = await this.broker.listOffsets({
      isolationLevel: READ_COMMITTED,
      topics: byTopic(partitions, ({ partition }) => ({ partition, timestamp })),
    })
    return responses.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, errorCode, offset }) => ({
        topic,
        partition,
        error: errorCode,
        offset: BigInt(offset),
      })),
    )
  }

  async fetch(
    partitions: readonly { topic: string; partition: number; offset: bigint }[],
    wait: number,
  ): Promise<FetchAnswer[]> {
    const maxBytes = FETCH_BYTES.partition
    const from = new Map(partitions.map((one) => [`${one.topic}/${one.partition}`, one.offset]))
    const request = {
      isolationLevel: READ_COMMITTED,
      maxWaitTime: wait,
      minBytes: 1,
      maxBytes: FETCH_BYTES.total,
      topics: byTopic(partitions, ({ partition, offset }) => ({
        partition,
        fetchOffset: String(offset),
        maxBytes,
      })),
    }
    const answer = await this.broker.fetch(request).catch((error: unknown) => {
      const { name } = error as Error
      if (!this.alive || LINK_ERRORS.includes(name)) throw error
      throw new UnreadableError((error as Error).message, { cause: error })
    })
    return answer.responses.flatMap(({ topicName, partitions }) =>
      partitions.map(({ partition, errorCode, messages, abortedTransactions }) => {
        const offset = from.get(`${topicName}/${partition}`) ?? 0n
        const read = readMessages(topicName, partition, offset, messages, abortedTransactions ?? [])
        return { topic: topicName, partition, error: answer.errorCode || errorCode, ...read }
      }),
    )
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    const connection = this.#connection
    const error = closedError()
    connection.authHandlers?.onError()
    connection.rejectRequests(error)
    // While it connects, only an error makes the library let go of its timer.
    if (!connection.isConnected()) connection.socket?.destroy(error)
    void connection.disconnect().finally(() => connection.socket?.destroy())
  }
}

const LINK_ERRORS = [
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
]

async function keep<T>(answer: T): Promise<T> {
  return answer
}

function closedError(): Error {
  return new Error('The connection to Kafka has been closed.')
}

function byTopic<P extends { topic: string }, T>(
  partitions: readonly P[],
  map: (partition: P) => T,
): { topic: string; partitions: T[] }[] {
  const topics = new Map<string, T[]>()
  for (const partition of partitions) {
    const found = topics.get(partition.topic)
    if (found === undefined) topics.set(partition.topic, [map(partition)])
    else found.push(map(partition))
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }))
}
