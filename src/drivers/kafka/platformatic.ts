import type { Socket } from 'node:net'
import { OptionsError } from '../../errors.js'
import { readMessages } from './platformatic-records.js'
import type { FetchedPartition } from './platformatic-records.js'
import type {
  Address,
  ClusterState,
  FetchAnswer,
  FetchQuery,
  Library,
  OffsetAnswer,
  PartitionName,
  Wire,
} from './wire.js'
import { FETCH_BYTES, READ_COMMITTED, UnreadableError } from './wire.js'

/** A `Consumer`, `Producer` or `Admin` of `@platformatic/kafka`: its settings are taken. */
export interface PlatformaticClient {
  readonly clientId: string
  metadata(...args: never[]): unknown
  listApis(...args: never[]): unknown
  connectToBrokers(...args: never[]): unknown
}

/** The module of `@platformatic/kafka`. Its connections and its requests are used: all public. */
export interface PlatformaticModule {
  Connection: new (...args: never[]) => object
  apiVersionsV3: Api
}

interface Connection {
  readonly socket: Socket | undefined
  isConnected(): boolean
  connect(host: string, port: number): Promise<void> | void
  on(event: 'error', listener: (error: Error) => void): unknown
}

interface Api {
  api: (...args: never[]) => void
}

interface Settings {
  clientId: string
  bootstrapBrokers: readonly (string | Address)[]
  [setting: string]: unknown
}

interface ApiVersions {
  apiKeys: { apiKey: number; minVersion: number; maxVersion: number }[]
}

interface MetadataAnswer {
  brokers: (Address & { nodeId: number })[]
  topics: {
    errorCode: number
    name: string
    topicId: string
    partitions: { partitionIndex: number; leaderId: number }[]
  }[]
}

interface OffsetsAnswer {
  topics: {
    name: string
    partitions: { partitionIndex: number; errorCode: number; offset: bigint }[]
  }[]
}

interface FetchResponse {
  errorCode: number
  responses: { topicId: string; partitions: FetchedPartition[] }[]
}

/** Keys of Kafka's requests, with the versions that take the same arguments, the best first. */
const requests = {
  fetch: { key: 1, versions: [17, 16, 15, 14, 13, 12] },
  listOffsets: { key: 2, versions: [9, 8, 7, 6] },
  metadata: { key: 3, versions: [12, 11, 10] },
} as const

/** From here on, a fetch names a topic by its id. */
const FETCH_BY_ID = 13

export function isPlatformatic(target: unknown): target is PlatformaticClient {
  const { clientId, metadata, listApis, connectToBrokers } = (target ??
    {}) as Partial<PlatformaticClient>
  return (
    typeof clientId === 'string' &&
    [metadata, listApis, connectToBrokers].every((member) => typeof member === 'function')
  )
}

/** The settings of a client that somebody has made. */
export function settingsOf(client: PlatformaticClient): Settings {
  const symbol = Object.getOwnPropertySymbols(client).find(
    ({ description }) => description === 'plt.kafka.base.options',
  )
  const settings = symbol && (client as unknown as Record<symbol, Settings>)[symbol]
  if (Array.isArray(settings?.bootstrapBrokers)) return settings
  throw new OptionsError(
    'kafkaDriver got a client of @platformatic/kafka whose settings it does not find. Give it ' +
      '{ brokers, ssl, sasl } instead.',
  )
}

/** Connections with these settings; `load` gives the module. */
export function platformaticLibrary(
  settings: Settings,
  load: () => Promise<PlatformaticModule>,
): Library {
  let next = 0
  return {
    async wire(address) {
      const seeds = settings.bootstrapBrokers
      const to = address ?? parseAddress(seeds[next++ % seeds.length] as string | Address)
      return new PlatformaticWire(await load(), to, settings)
    },
  }
}

function parseAddress(broker: string | Address): Address {
  if (typeof broker !== 'string') return broker
  const end = broker.lastIndexOf(':')
  const host = end === -1 ? broker : broker.slice(0, end)
  return {
    host: host.replace(/^\[|\]$/g, ''),
    port: end === -1 ? 9092 : Number(broker.slice(end + 1)),
  }
}

class PlatformaticWire implements Wire {
  readonly #connection: Connection
  #versions = new Map<number, { minVersion: number; maxVersion: number }>()
  #closed = false

  constructor(
    private readonly library: PlatformaticModule,
    readonly address: Address,
    private readonly settings: Settings,
  ) {
    // The caller watches how long an answer takes, so the library's own limit is off.
    const options = { ...settings, requestTimeout: 2 ** 31 - 1 }
    this.#connection = new library.Connection(
      ...([settings.clientId, options] as never[]),
    ) as Connection
    // The call that waits for an answer rejects with it, too.
    this.#connection.on('error', () => undefined)
  }

  get alive(): boolean {
    return !this.#closed && this.#connection.isConnected()
  }

  async connect(): Promise<void> {
    const connecting = this.#connection.connect(this.address.host, this.address.port)
    // Closed in the same moment, when there was no socket yet.
    if (this.#closed) this.#connection.socket?.destroy(closedError())
    await connecting
    const { api } = this.library.apiVersionsV3
    const { apiKeys } = await this.#send<ApiVersions>(api, ['unifrost', '1'])
    this.#versions = new Map(apiKeys.map(({ apiKey, ...range }) => [apiKey, range]))
  }

  async metadata(topics: readonly string[]): Promise<ClusterState> {
    const { api } = this.#api('metadata')
    const answer = await this.#send<MetadataAnswer>(api, [topics, false, false])
    return {
      brokers: new Map(answer.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }])),
      topics: new Map(
        answer.topics.map(({ name, errorCode, topicId, partitions }) => {
          const leaders = partitions.map(
            ({ partitionIndex, leaderId }) => [partitionIndex, leaderId] as const,
          )
          return [name, { error: errorCode, id: topicId, leaders: new Map(leaders) }]
        }),
      ),
    }
  }

  async offsets(
    partitions: readonly PartitionName[],
    which: 'earliest' | 'latest',
  ): Promise<OffsetAnswer[]> {
    const { api } = this.#api('listOffsets')
    const timestamp = which === 'latest' ? -1n : -2n
    const topics = byTopic(partitions, ({ topic }) => topic).map(([name, partitions]) => ({
      name,
      partitions: partitions.map(({ partition }) => ({
        partitionIndex: partition,
        currentLeaderEpoch: -1,
        timestamp,
      })),
    }))
    const answer = await this.#send<OffsetsAnswer>(api, [-1, READ_COMMITTED, topics])
    return answer.topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, errorCode, offset }) => ({
        topic: name,
        partition: partitionIndex,
        error: errorCode,
        offset,
      })),
    )
  }

  async fetch(partitions: readonly FetchQuery[], wait: number): Promise<FetchAnswer[]> {
    const { api, version } = this.#api('fetch')
    const nameOf = ({ topic, id }: FetchQuery) => (version >= FETCH_BY_ID ? (id ?? topic) : topic)
    const grouped = byTopic(partitions, nameOf)
    const topics = grouped.map(([topicId, partitions]) => ({
      topicId,
      partitions: partitions.map(({ partition, offset }) => ({
        partition,
        currentLeaderEpoch: -1,
        fetchOffset: offset,
        lastFetchedEpoch: -1,
        partitionMaxBytes: FETCH_BYTES.partition,
      })),
    }))
    const args = [wait, 1, FETCH_BYTES.total, READ_COMMITTED, 0, -1, topics, [], '']
    const answer = await this.#send<FetchResponse>(api, args).catch((error: unknown) => {
      if (!this.alive || LINK_ERRORS.includes((error as { code?: string }).code ?? '')) throw error
      throw new UnreadableError((error as Error).message, { cause: error })
    })
    const asked = new Map(grouped)
    return answer.responses.flatMap(({ topicId, partitions }) =>
      partitions.flatMap((fetched) => {
        const { partitionIndex, errorCode } = fetched
        const query = asked.get(topicId)?.find(({ partition }) => partition === partitionIndex)
        if (query === undefined) return []
        return { ...query, error: answer.errorCode || errorCode, ...readMessages(query, fetched) }
      }),
    )
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    // Before it is connected, only an error makes the library let go of its timer.
    this.#connection.socket?.destroy(closedError())
  }

  #api(name: keyof typeof requests): { api: Api['api']; version: number } {
    const { key, versions } = requests[name]
    const { minVersion = 0, maxVersion = -1 } = this.#versions.get(key) ?? {}
    for (const version of versions) {
      if (version < minVersion || version > maxVersion) continue
      const found = (this.library as unknown as Record<string, Api | undefined>)[
        `${name}V${version}`
      ]
      if (found !== undefined) return { api: found.api, version }
    }
    throw new Error(
      `The broker takes the versions ${minVersion} to ${maxVersion} of ${name}, none of which ` +
        '@platformatic/kafka has. Kafka is too old for it: take kafkajs.',
    )
  }

  #send<T>(api: Api['api'], args: readonly unknown[]): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(closedError())
      const done = (error: (Error & { response?: T }) | null, answer: T) => {
        // For an error of one topic the library throws, and attaches the answer for all of them.
        if (error?.response !== undefined) resolve(error.response)
        else if (error) reject(error)
        else resolve(answer)
      }
      api(...([this.#connection, ...args, done] as never[]))
    })
  }
}

const LINK_ERRORS = ['PLT_KFK_NETWORK', 'PLT_KFK_TIMEOUT', 'PLT_KFK_UNEXPECTED_CORRELATION_ID']

function closedError(): Error {
  return new Error('The connection to Kafka has been closed.')
}

function byTopic<P extends PartitionName>(
  partitions: readonly P[],
  nameOf: (partition: P) => string,
): [name: string, partitions: P[]][] {
  const topics = new Map<string, P[]>()
  for (const partition of partitions) {
    const name = nameOf(partition)
    const found = topics.get(name)
    if (found === undefined) topics.set(name, [partition])
    else found.push(partition)
  }
  return [...topics]
}
