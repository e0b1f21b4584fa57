import { Kafka, logLevel } from 'kafkajs'
import type { Admin, Producer } from 'kafkajs'
import { kafkaDriver } from '../../../src/drivers/kafka.js'
import type { KafkaDriverOptions, KafkaModule } from '../../../src/drivers/kafka.js'
import { tcpLink, until } from '../../../src/testing/index.js'
import { answerOf } from '../../../src/testing/until.js'
import type { DriverHarness, Link } from '../../../src/testing/index.js'
import { READER, RUNNING_KAFKA, startKafka } from '../../brokers/kafka.js'
import type { KafkaServer } from '../../brokers/kafka.js'
import { connectionsTo, freePort } from '../../brokers/process.js'
import type { FiguresOptions } from './figures.js'

/** What a dead link costs: noticed after 700 ms instead of four seconds. */
export const QUICK: KafkaDriverOptions = { maxWait: 200, responseTimeout: 500 }

/** A topic that the reader may not read, and one that it may not even see. */
export const DENIED = { read: 'denied.read', all: 'denied.all' }

/** How many topics are made at once. */
const STORE = 60

/** What the tests share: one broker, a link to it, and a publisher past that link. */
export class KafkaFixture {
  server: KafkaServer | undefined
  #link: Link | undefined
  #kafka: Kafka | undefined
  #admin: Admin | undefined
  #producer: Producer | undefined
  #made = 0
  readonly #store: string[] = []
  #filling: Promise<void> | undefined

  async start(): Promise<void> {
    if (!RUNNING_KAFKA) {
      // The broker has to say where it can be reached: that is what the link is for.
      const port = await freePort()
      this.#link = await tcpLink(port)
      this.server = await startKafka({ guarded: { port, advertised: this.#link.port } })
    }
    this.#kafka = new Kafka({
      brokers: [RUNNING_KAFKA ?? `127.0.0.1:${this.server?.direct}`],
      logLevel: logLevel.NOTHING,
      requestTimeout: 6_000,
      // Sent again, a message may stand in the topic twice.
      retry: { retries: 0 },
    })
    this.#admin = this.#kafka.admin()
    await until('the broker to take us', () => this.admin.connect().then(() => true), 30_000)
    await this.#connectProducer()
    if (this.server) await this.#deny()
  }

  async stop(): Promise<void> {
    await this.#producer?.disconnect()
    await this.#admin?.disconnect()
    await this.#link?.close()
    await this.server?.stop()
  }

  get link(): Link {
    if (!this.#link) throw new Error('There is no link to a Kafka that was running already.')
    return this.#link
  }

  get kafka(): Kafka {
    return this.#kafka as Kafka
  }

  get admin(): Admin {
    return this.#admin as Admin
  }

  /** What a driver connects with: by way of the link, with credentials. */
  get options() {
    if (RUNNING_KAFKA) return { brokers: [RUNNING_KAFKA] }
    const sasl = { mechanism: 'plain' as const, ...READER }
    return { brokers: [`127.0.0.1:${this.link.port}`], sasl }
  }

  /**
   * A topic that nobody else has. There are always some in store: tests ask for one while the
   * broker is away, too.
   */
  async topic(): Promise<string> {
    if (this.#store.length < STORE / 2) {
      this.#filling ??= this.#fill().finally(() => (this.#filling = undefined))
      if (this.#store.length === 0) await this.#filling
      // While there are some left, it can wait for the next one who asks.
      else this.#filling.catch(() => undefined)
    }
    return this.#store.shift() as string
  }

  async create(topic: string, partitions = 1): Promise<void> {
    await this.#create([topic], partitions)
  }

  async #fill(): Promise<void> {
    const names = Array.from({ length: STORE }, () => `test.${process.pid}.${++this.#made}`)
    await this.#create(names, 1)
    this.#store.push(...names)
  }

  async #create(names: readonly string[], numPartitions: number): Promise<void> {
    const topics = names.map((topic) => ({ topic, numPartitions, replicationFactor: 1 }))
    const made = () =>
      this.admin.createTopics({ topics, waitForLeaders: false, timeout: 2_000 }).then(
        () => true,
        () => false,
      )
    await until('the topics to be made', made)
    // A broker hears of it a little later than the one that was asked.
    const known = () =>
      this.admin.fetchTopicMetadata({ topics: [...names] }).then(
        () => true,
        () => false,
      )
    await until('the broker to know the topics', known)
  }

  async publish(topic: string, value: string | Uint8Array, partition = 0): Promise<void> {
    await this.send(topic, [{ value: Buffer.from(value as string), partition }])
  }

  async send(topic: string, messages: Parameters<Producer['send']>[0]['messages']): Promise<void> {
    try {
      await (this.#producer as Producer).send({ topic, messages, acks: -1, timeout: 5_000 })
    } catch (error) {
      // It does not always find back by itself.
      await this.#connectProducer().catch(() => undefined)
      throw error
    }
  }

  async #connectProducer(): Promise<void> {
    const old = this.#producer
    this.#producer = this.kafka.producer({ createPartitioner: () => () => 0 })
    await Promise.all([this.#producer.connect(), old?.disconnect()])
  }

  async #deny(): Promise<void> {
    const acl = { resourceType: 2, resourcePatternType: 3, host: '*' }
    const anyone = { ...acl, principal: `User:${READER.username}` }
    const [read, describe, deny, allow] = [3, 8, 2, 3]
    await this.admin.createAcls({
      acl: [
        { ...anyone, resourceName: DENIED.read, operation: read, permissionType: deny },
        { ...anyone, resourceName: DENIED.read, operation: describe, permissionType: allow },
        { ...anyone, resourceName: DENIED.all, operation: describe, permissionType: deny },
      ],
    })
    await this.create(DENIED.read)
    await this.create(DENIED.all)
  }
}

/** Names of topics that Kafka can't hold. */
export const BAD_NAMES = [
  '',
  '.',
  '..',
  'a b',
  'a/b',
  'a:b',
  'a\0b',
  'a\r\nb',
  'ä',
  '用户',
  'a*',
  'x'.repeat(250),
]

/** What the drivers are made of: an address, or a client that somebody brought. */
export type Target = 'address' | 'client'

/** A client of the user's, and whether it still works. */
export interface BroughtClient {
  client: Parameters<typeof kafkaDriver>[0]
  check(): Promise<void>
  end(): Promise<void>
}

/** The contract's harness for one library and one way of connecting. */
export function kafkaHarness(
  fixture: KafkaFixture,
  target: Target,
  library: KafkaModule | undefined,
  bring: (options: KafkaFixture['options']) => Promise<BroughtClient>,
  limits = QUICK,
): DriverHarness {
  const options: KafkaDriverOptions = { ...limits, ...(library && { library }) }
  const server = () => fixture.server as KafkaServer
  const running = 'Kafka was running already and is not ours to break'
  const slow = 'the connections are those of a driver by address, and a restart takes seconds'

  return {
    create: async () =>
      target === 'address'
        ? kafkaDriver(fixture.options, options)
        : kafkaDriver((await bring(fixture.options)).client, options),
    publish: (topic, payload) => fixture.publish(topic, payload),
    topic: () => fixture.topic(),
    bound: 40_000,
    special: { internal: ['__consumer_offsets', '__transaction_state', '_schemas'] },
    badTopics: BAD_NAMES,
    unreachable: (address) => kafkaDriver(`kafka://${address}`, options),
    async brought() {
      const { client, check, end } = await bring(fixture.options)
      // A client of either library holds settings; connections are made by what it makes.
      return { driver: () => kafkaDriver(client, options), listeners: () => 0, check, end }
    },
    without: {
      subscriptions: 'Kafka keeps nothing for a reader without a group but its connection',
      ...(RUNNING_KAFKA
        ? {
            cut: running,
            stall: running,
            refuse: running,
            restart: running,
            freeze: running,
            leftovers: running,
            deniedTopic: running,
            badLogin: running,
          }
        : target === 'client'
          ? { restart: slow }
          : {}),
    },
    ...(RUNNING_KAFKA
      ? {}
      : {
          cut: () => fixture.link.cut(),
          stall: () => fixture.link.stall(),
          refuse: () => fixture.link.refuse(),
          badLogin() {
            const { brokers } = fixture.options
            const secret = 'wrong-password'
            const sasl = { mechanism: 'plain' as const, username: 'nobody', password: secret }
            return {
              driver: kafkaDriver({ brokers, sasl }, options),
              address: brokers[0] as string,
              secret,
            }
          },
          ...(target === 'client' ? {} : { restart: () => server().process.restart() }),
          async freeze() {
            await server().process.freeze()
            return async () => server().process.thaw()
          },
          leftovers: async () => {
            // While Kafka elects leaders of a thousand topics, it has no answer.
            const asked = () => fixture.admin.listGroups()
            const { groups } = await answerOf('the groups', asked, 30_000)
            return groups.length + (await server().connections())
          },
          deniedTopic: DENIED.read,
        }),
  }
}

/** What holds of the figures. */
export const FIGURES = 'is ready within 100 ms, and leaves nothing of 1,000 topics'

/** For a thousand topics at once, on a busy machine. */
export const PATIENT: KafkaDriverOptions = { subscribeTimeout: 60_000 }

/** What it takes to measure a driver here. */
export function kafkaFigures(fixture: KafkaFixture): FiguresOptions {
  return { connections: RUNNING_KAFKA ? undefined : () => connectionsTo(fixture.link.port) }
}

/** A `Kafka` of kafkajs with a client of its own to see whether it still works. */
export async function bringKafkaJs(options: KafkaFixture['options']): Promise<BroughtClient> {
  const client = new Kafka({ ...options, logLevel: logLevel.NOTHING })
  const admin = client.admin()
  return {
    client,
    check: async () => {
      await admin.connect()
      await admin.listTopics()
    },
    end: () => admin.disconnect(),
  }
}
