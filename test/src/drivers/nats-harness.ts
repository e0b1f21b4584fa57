import { connect as connectV3 } from '@nats-io/transport-node'
import { connect as connectV2 } from 'nats'
import { natsDriver } from '../../../src/drivers/nats.js'
import type { NatsConnect, NatsConnection } from '../../../src/drivers/nats.js'
import { tcpLink, until } from '../../../src/testing/index.js'
import type { DriverHarness, Link } from '../../../src/testing/index.js'
import { ADMIN, RUNNING_NATS, startNats } from '../../brokers/nats.js'
import type { NatsServer, NatsServerOptions } from '../../brokers/nats.js'
import { OWNED } from './left-out.js'

/** Both libraries, by the name they are installed under. */
export const libraries: readonly [name: string, connect: NatsConnect][] = [
  ['nats', (options) => connectV2(options)],
  ['@nats-io/transport-node', (options) => connectV3(options)],
]

/**
 * A dead link is noticed after three pings instead of three seconds. A server that dies while a
 * library is connecting costs the library its timeout, of 20 seconds if nothing is set.
 */
export const QUICK = { pingInterval: 200, timeout: 1_000 }
const LIMITS = { subscribeTimeout: 1_500 }

/** What the tests share: one server, a link to it, and a publisher past that link. */
export class NatsFixture {
  server: NatsServer | undefined
  #link: Link | undefined
  #publisher: Awaited<ReturnType<typeof connectV3>> | undefined

  async start(options: NatsServerOptions = {}): Promise<void> {
    if (!RUNNING_NATS) this.server = await startNats(options)
    const { hostname, port } = new URL(RUNNING_NATS ?? (this.server as NatsServer).url)
    this.#link = await tcpLink(Number(port || 4222), hostname)
    this.#publisher = await connectV3({
      ...(RUNNING_NATS ? {} : ADMIN),
      servers: `${hostname}:${port || 4222}`,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      ...QUICK,
    })
  }

  async stop(): Promise<void> {
    await this.#publisher?.close()
    await this.#link?.close()
    await this.server?.stop()
  }

  get link(): Link {
    if (!this.#link) throw new Error('The fixture has not been started.')
    return this.#link
  }

  /** The server's address by way of the link. */
  get url(): string {
    return `nats://127.0.0.1:${this.link.port}`
  }

  async publish(topic: string, payload: string | Uint8Array): Promise<void> {
    this.#publisher?.publish(topic, payload)
    await this.#publisher?.flush()
  }
}

const NAMES = [
  '',
  'a b',
  'a\tb',
  ' a',
  'a\r\nPUB x 1',
  'a\0b',
  'a..b',
  '.a',
  'a.',
  '.',
  'a.>.b',
  '>.a',
  'a.\ud800',
  'x'.repeat(4_001),
]

/** What a driver on the older library can't do anything about. */
export const NO_END =
  'nats 2 has no way to end its wait for the next attempt: a timer stays, for two seconds at most'

/** What the drivers are made of: an address, or a connection that somebody brought. */
export type Source = 'address' | 'connection'

/** The contract's harness for one library and one way of getting a connection. */
export function natsHarness(
  fixture: NatsFixture,
  library: string,
  connect: NatsConnect,
  source: Source,
): { harness: DriverHarness; end(): Promise<void> } {
  const connections: NatsConnection[] = []
  const bring = async () => {
    const connection = await connect({
      servers: `127.0.0.1:${fixture.link.port}`,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      ...QUICK,
    })
    connections.push(connection)
    return connection
  }
  const server = () => fixture.server as NatsServer
  const running = 'the server was running already and is not ours to break'

  const harness: DriverHarness = {
    bound: 20_000,
    create: async () =>
      source === 'connection'
        ? natsDriver(await bring(), LIMITS)
        : natsDriver({ servers: fixture.url, ...QUICK }, { connect, ...LIMITS }),
    publish: (topic, payload) => fixture.publish(topic, payload),
    special: {
      wildcard: ['orders.*', 'orders.>'],
      internal: ['>', '*.x', '$KV.x.>', '$JS.API.INFO', '$SYS.>', '_INBOX.x'],
    },
    badTopics: NAMES,
    cut: () => fixture.link.cut(),
    stall: () => fixture.link.stall(),
    ...(source === 'address' ? { refuse: () => fixture.link.refuse() } : {}),
    unreachable: (address) => natsDriver(`nats://${address}`, { connect, connectTimeout: 3_000 }),
    badLogin() {
      const address = `127.0.0.1:${fixture.link.port}`
      const secret = 'wrong-password'
      const servers = `nats://${address}`
      return {
        driver: natsDriver({ servers, user: 'nobody', pass: secret }, { connect }),
        address,
        secret,
      }
    },
    async brought() {
      const connection = await bring()
      return {
        driver: () => natsDriver(connection),
        // What follows its status is an iterator, which ends with its driver.
        listeners: () => 0,
        async check() {
          const echoed = new Promise((resolve) => {
            const subscription = connection.subscribe('still.works', {
              callback: () => {
                subscription.unsubscribe()
                resolve(undefined)
              },
            })
          })
          await connection.flush()
          await fixture.publish('still.works', 'x')
          await echoed
        },
        end: () => connection.close(),
      }
    },
    without: {
      ...(source === 'connection' ? { refuse: OWNED, ownConnection: OWNED } : {}),
      ...(library === 'nats' ? { endsWait: NO_END } : {}),
      ...(RUNNING_NATS
        ? {
            restart: running,
            freeze: running,
            leftovers: running,
            subscriptions: running,
            deniedTopic: running,
          }
        : {}),
    },
    ...(RUNNING_NATS
      ? {}
      : {
          restart: () => server().process.restart(),
          async freeze() {
            await server().process.freeze()
            return async () => server().process.thaw()
          },
          async leftovers() {
            const open = await server().open()
            // A connection that was brought is its owner's, and no leftover.
            return open.subscriptions + (source === 'address' ? open.connections : 0)
          },
          subscriptions: async () => (await server().open()).subscriptions,
          deniedTopic: 'denied.topic',
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
