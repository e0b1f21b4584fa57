import { jetstreamManager } from '@nats-io/jetstream'
import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream'
import { connect, headers } from '@nats-io/transport-node'
import type { NatsConnection } from '@nats-io/transport-node'
import { jetstreamDriver } from '../../../src/drivers/jetstream.js'
import type {
  JetStreamConnection,
  JetStreamDriver,
  JetStreamDriverOptions,
  NatsConnect,
} from '../../../src/drivers/jetstream.js'
import { tcpLink, until } from '../../../src/testing/index.js'
import { answerOf } from '../../../src/testing/until.js'
import type { DriverHarness, Link } from '../../../src/testing/index.js'
import { ADMIN, RUNNING_JETSTREAM, startNats } from '../../brokers/nats.js'
import type { NatsServer, NatsServerOptions } from '../../brokers/nats.js'
import { OWNED } from './left-out.js'
import { NO_END, QUICK } from './nats-harness.js'
import type { Source } from './nats-harness.js'

/** A consumer that is gone is noticed in a second. */
export const LIMITS = { heartbeat: 250, subscribeTimeout: 5_000 }

/** The stream of the contract. */
export const STREAM = 'contract'

/** One server with JetStream, a link to it, and a publisher past that link. */
export class JetStreamFixture {
  server: NatsServer | undefined
  #link: Link | undefined
  #admin: NatsConnection | undefined
  #manager: JetStreamManager | undefined

  async start(options: NatsServerOptions = {}): Promise<void> {
    if (!RUNNING_JETSTREAM) this.server = await startNats({ jetstream: true, ...options })
    const { hostname, port } = new URL(RUNNING_JETSTREAM ?? (this.server as NatsServer).url)
    this.#link = await tcpLink(Number(port || 4222), hostname)
    this.#admin = await connect({
      ...(RUNNING_JETSTREAM ? {} : ADMIN),
      servers: `${hostname}:${port || 4222}`,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      ...QUICK,
    })
    this.#manager = await jetstreamManager(this.#admin)
    await this.stream({ name: STREAM, subjects: ['contract.>', 'figures.>'] })
  }

  async stop(): Promise<void> {
    if (RUNNING_JETSTREAM) await this.manager.streams.delete(STREAM)
    await this.#admin?.close()
    await this.#link?.close()
    await this.server?.stop()
  }

  get link(): Link {
    if (!this.#link) throw new Error('The fixture has not been started.')
    return this.#link
  }

  get manager(): JetStreamManager {
    if (!this.#manager) throw new Error('The fixture has not been started.')
    return this.#manager
  }

  /** The server's address by way of the link. */
  get url(): string {
    return `nats://127.0.0.1:${this.link.port}`
  }

  /** Makes a stream, anew if it is there. */
  async stream(config: Partial<StreamConfig> & { name: string }): Promise<void> {
    const remake = async () => {
      await this.manager.streams.delete(config.name).catch(() => undefined)
      await this.manager.streams.add(config)
    }
    await answerOf('the server to make a stream', remake)
  }

  /** How many consumers a stream has. */
  async consumers(stream = STREAM): Promise<number> {
    const info = () => this.manager.streams.info(stream)
    return (await answerOf('the server to tell of a stream', info)).state.consumer_count
  }

  /** Settles when the stream has it, and gives its sequence. `status` is one of the header. */
  async publish(subject: string, payload: string | Uint8Array, status?: number): Promise<number> {
    const answer = await this.#admin!.request(subject, payload, {
      timeout: 3_000,
      ...(status !== undefined && { headers: headers(status, 'Status') }),
    })
    const { seq, error } = answer.json<{ seq: number; error?: { description: string } }>()
    if (error) throw new Error(error.description)
    return seq
  }
}

const NAMES = ['', 'a b', 'a\r\nPUB x 1', 'a\0b', 'a..b', '.a', 'a.', 'a.>.b', 'a.\ud800']
/** Well made, but no subjects of the stream. */
const STRANGE = ['other.subject', 'contract', '*']

/** The contract's harness for one library and one way of getting a connection. */
export function jetstreamHarness(
  fixture: JetStreamFixture,
  library: string,
  dial: NatsConnect,
  source: Source,
): { harness: DriverHarness; end(): Promise<void> } {
  const connections: JetStreamConnection[] = []
  const bring = async () => {
    const connection = (await dial({
      servers: `127.0.0.1:${fixture.link.port}`,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      ...QUICK,
    })) as JetStreamConnection
    connections.push(connection)
    return connection
  }
  const server = () => fixture.server as NatsServer
  const running = 'the server was running already and is not ours to break'
  const made = (
    target: Parameters<typeof jetstreamDriver>[0],
    options: Partial<JetStreamDriverOptions> = {},
  ): JetStreamDriver => jetstreamDriver(target, { stream: STREAM, ...LIMITS, ...options })

  const harness: DriverHarness = {
    bound: 20_000,
    create: async () =>
      source === 'connection'
        ? made(await bring())
        : made({ servers: fixture.url, ...QUICK }, { connect: dial }),
    publish: async (topic, payload) => {
      await fixture.publish(topic, payload)
    },
    special: {
      wildcard: ['orders.*', 'orders.>'],
      internal: ['>', '$KV.x.>', '$JS.API.INFO', '_INBOX.x'],
    },
    badTopics: [...NAMES, ...STRANGE],
    cut: () => fixture.link.cut(),
    stall: () => fixture.link.stall(),
    ...(source === 'address' ? { refuse: () => fixture.link.refuse() } : {}),
    unreachable: (address) => made(`nats://${address}`, { connect: dial }),
    badLogin() {
      const address = `127.0.0.1:${fixture.link.port}`
      const secret = 'wrong-password'
      const servers = `nats://${address}`
      return {
        driver: made({ servers, user: 'nobody', pass: secret }, { connect: dial }),
        address,
        secret,
      }
    },
    async brought() {
      const connection = await bring()
      return {
        driver: () => made(connection),
        // What follows its status is an iterator, which ends with its driver.
        listeners: () => 0,
        async check() {
          await connection.flush()
          if (connection.isClosed()) throw new Error('The connection has been closed.')
        },
        end: () => connection.close(),
      }
    },
    without: {
      deniedTopic:
        'NATS has no permission for one subject of a stream: who may read it may read all',
      subscriptions: 'one consumer reads the stream for all topics of a driver',
      ...(source === 'connection' ? { refuse: OWNED, ownConnection: OWNED } : {}),
      ...(library === 'nats' ? { endsWait: NO_END } : {}),
      ...(RUNNING_JETSTREAM ? { restart: running, freeze: running, leftovers: running } : {}),
    },
    ...(RUNNING_JETSTREAM
      ? {}
      : {
          restart: () => server().process.restart(),
          async freeze() {
            await server().process.freeze()
            return async () => server().process.thaw()
          },
          async leftovers() {
            const open = await server().open()
            const ours = (await fixture.consumers()) + open.subscriptions
            // A connection that was brought is its owner's, and no leftover.
            return source === 'address' ? ours + open.connections : ours - open.requests
          },
        }),
  }
  return {
    harness,
    async end() {
      await Promise.all(connections.map((connection) => connection.close()))
      if (!fixture.server) return
      await until('the server to be alone', async () => (await server().open()).connections === 0)
    },
  }
}
