import { PubSub, v1 } from '@google-cloud/pubsub'
import { randomUUID } from 'node:crypto'
import { googlePubSubDriver } from '../../../src/drivers/google-pubsub.js'
import type {
  GooglePubSubConfig,
  GooglePubSubDriverOptions,
} from '../../../src/drivers/google-pubsub.js'
import { tcpLink, until } from '../../../src/testing/index.js'
import type { DriverHarness, Link } from '../../../src/testing/index.js'
import { PROJECT, RUNNING_PUBSUB, startPubSub } from '../../brokers/google-pubsub.js'
import type { PubSubServer, PubSubServerOptions } from '../../brokers/google-pubsub.js'
import { OWNED } from './left-out.js'
import { tcpProxy } from '../../support/tcp-proxy.js'
import type { TcpProxy } from '../../support/tcp-proxy.js'

/** What a dead link costs: noticed within two seconds instead of fifteen. */
export const QUICK = { heartbeat: 500, closeTimeout: 1_000, subscribeTimeout: 3_000 }

/** How soon a client of the tests' own connects again. */
const RECONNECT = {
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 200,
}

/** What the tests share: one server, a way to it that can be cut, and a publisher past that. */
export class PubSubFixture {
  server: PubSubServer | undefined
  #admin: PubSub | undefined
  #publisher: InstanceType<typeof v1.PublisherClient> | undefined
  #gate: TcpProxy | undefined
  #link: Link | undefined
  readonly #topics = new Set<string>()

  async start(options: PubSubServerOptions = {}): Promise<void> {
    // Who asks for a kind of server means that kind, and not the one that is running.
    const running = options.kind === undefined ? RUNNING_PUBSUB : undefined
    if (!running) this.server = await startPubSub(options)
    const [host = '127.0.0.1', port] = (running ?? `127.0.0.1:${this.server?.port}`).split(':')
    this.#gate = await tcpProxy(Number(port), host)
    this.#link = await tcpLink(this.#gate.port)
    this.#admin = new PubSub({
      projectId: PROJECT,
      apiEndpoint: `${host}:${port}`,
      emulatorMode: true,
      ...RECONNECT,
    })
    this.#publisher = new v1.PublisherClient((await this.#admin.getClientConfig()) as never)
  }

  async stop(): Promise<void> {
    await this.#publisher?.close()
    await this.#admin?.close()
    await this.#link?.close()
    await this.#gate?.close()
    await this.server?.stop()
  }

  get admin(): PubSub {
    return started(this.#admin)
  }

  /** Breaks in the ways that a network does. */
  get link(): Link {
    return started(this.#link)
  }

  /** How many connections there are by way of the link. */
  get connections(): number {
    return started(this.#gate).open
  }

  /** The server's address by way of the link. */
  get address(): string {
    return `127.0.0.1:${this.link.port}`
  }

  get config(): GooglePubSubConfig {
    return { projectId: PROJECT, emulatorHost: this.address }
  }

  /** A client as somebody would bring it, with the settings that the docs recommend. */
  bring(): PubSub {
    return new PubSub({
      projectId: PROJECT,
      apiEndpoint: this.address,
      emulatorMode: true,
      'grpc.keepalive_time_ms': 1_000,
      'grpc.keepalive_timeout_ms': 500,
      'grpc.use_local_subchannel_pool': 1,
      ...RECONNECT,
    } as GooglePubSubConfig)
  }

  /** Makes a topic; while the server is away, it is made as soon as that is back. */
  async createTopic(label: string): Promise<string> {
    const name = `${label}.${randomUUID().slice(0, 8)}`
    this.#topics.add(name)
    await this.#create(name).catch((error: unknown) => {
      if (!/UNAVAILABLE|DEADLINE_EXCEEDED/.test(String(error))) throw error
    })
    return name
  }

  #created(name: string): Promise<boolean> {
    return this.#create(name).then(
      () => true,
      (error: unknown) => /ALREADY_EXISTS/.test(String(error)),
    )
  }

  async #create(name: string): Promise<void> {
    await this.admin.createTopic(name, { timeout: 3_000, retry: null })
  }

  /** Settles when the server has it. One topic is one order. */
  async publish(
    topic: string,
    data: string | Uint8Array,
    attributes: Record<string, string> = {},
    orderingKey = 'one',
  ): Promise<void> {
    const message = { data: Buffer.from(data as string), attributes, orderingKey }
    // Pub/Sub takes no message that is empty altogether.
    if (message.data.length === 0) message.attributes = { empty: 'yes', ...attributes }
    await started(this.#publisher).publish(
      { topic: `projects/${PROJECT}/topics/${topic}`, messages: [message] },
      { timeout: 3_000, retry: null },
    )
  }

  /** The same for many at once. */
  async publishAll(topic: string, texts: readonly string[]): Promise<void> {
    const messages = texts.map((text) => ({ data: Buffer.from(text), orderingKey: 'one' }))
    await started(this.#publisher).publish(
      { topic: `projects/${PROJECT}/topics/${topic}`, messages },
      { timeout: 10_000, retry: null },
    )
  }

  /** What is ours on the server. */
  async subscriptions(): Promise<string[]> {
    const [all] = await this.admin.getSubscriptions()
    return all.map(({ name }) => name).filter((name) => /\/unifrost\./.test(name))
  }

  /**
   * Kills the server and starts it again. The service would not forget its topics, so they are
   * there again before anybody else gets through.
   */
  async restart(): Promise<void> {
    const gate = started(this.#gate)
    gate.refuse(true)
    gate.cut()
    await started(this.server).process.restart()
    await until('the client of the tests to be back', () =>
      this.admin.getTopics({ gaxOpts: { timeout: 3_000, retry: null } }).then(
        () => true,
        () => false,
      ),
    )
    const recent = [...this.#topics].slice(-30)
    await Promise.all(recent.map((name) => until(`topic ${name}`, () => this.#created(name))))
    gate.refuse(false)
  }
}

function started<T>(it: T | undefined): T {
  if (it === undefined) throw new Error('The fixture has not been started.')
  return it
}

export const BAD_NAMES = [
  '',
  'ab',
  'a b c',
  ' abc',
  '1abc',
  'googtopic',
  'a\r\nb',
  'ab\0',
  'topic/one',
  'projects/p/topics/',
  'projects/p/subscriptions/abc',
  'projects//topics/abc',
  'früh',
  'ab\ud800',
  'x'.repeat(256),
]

/** What the drivers are made of: a configuration, or a client that somebody brought. */
export type Source = 'configuration' | 'client'

/** The contract's harness for one way of getting a client. */
export function pubsubHarness(
  fixture: PubSubFixture,
  source: Source,
  limits: GooglePubSubDriverOptions = QUICK,
): { harness: DriverHarness; end(): Promise<void> } {
  const brought: PubSub[] = []
  const bring = () => {
    const client = fixture.bring()
    brought.push(client)
    return client
  }
  const running = 'the server was running already and is not ours to break'

  const harness: DriverHarness = {
    create: () => googlePubSubDriver(source === 'client' ? bring() : fixture.config, limits),
    publish: (topic, payload) => fixture.publish(topic, payload),
    topic: (label) => fixture.createTopic(label),
    bound: 30_000,
    badTopics: BAD_NAMES,
    cut: () => fixture.link.cut(),
    stall: () => fixture.link.stall(),
    async leftovers() {
      // A client that was brought is its owner's, and no leftover.
      const connections = source === 'configuration' ? fixture.connections : 0
      return (await fixture.subscriptions()).length + connections
    },
    subscriptions: async () => (await fixture.subscriptions()).length,
    unreachable: (address) => googlePubSubDriver({ projectId: PROJECT, emulatorHost: address }),
    async brought() {
      const client = bring()
      return {
        driver: () => googlePubSubDriver(client, QUICK),
        // A client of the library is no emitter.
        listeners: () => 0,
        async check() {
          await client.getTopics({ pageSize: 1, autoPaginate: false })
        },
        end: () => client.close(),
      }
    },
    without: {
      deniedTopic: 'neither of the servers that stand in for Google knows permissions',
      badLogin: 'neither of the servers that stand in for Google looks at credentials',
      refuse:
        source === 'client'
          ? OWNED
          : 'gRPC waits by itself, also after close; subscriptions of an outage are left to expire',
      ...(source === 'client' ? { ownConnection: OWNED } : {}),
      ...(RUNNING_PUBSUB ? { restart: running, freeze: running } : {}),
    },
    ...(RUNNING_PUBSUB
      ? {}
      : {
          restart: () => fixture.restart(),
          async freeze() {
            await fixture.server?.process.freeze()
            return async () => fixture.server?.process.thaw()
          },
        }),
  }
  return {
    harness,
    async end() {
      await Promise.all(brought.map((client) => client.close()))
    },
  }
}
