import { connect } from 'amqplib'
import type { ChannelModel, ConfirmChannel } from 'amqplib'
import { rabbitmqDriver } from '../../../src/drivers/rabbitmq.js'
import type { RabbitConnection, RabbitmqDriverOptions } from '../../../src/drivers/rabbitmq.js'
import { countListeners, tcpLink, until } from '../../../src/testing/index.js'
import type { DriverHarness, Link } from '../../../src/testing/index.js'
import { inTime } from '../../../src/testing/until.js'
import {
  ADMIN,
  PRIVATE_EXCHANGE,
  READER,
  RUNNING_RABBITMQ,
  startRabbitmq,
  TOPIC_EXCHANGE,
  urlOf,
} from '../../brokers/rabbitmq.js'
import type { RabbitmqServer } from '../../brokers/rabbitmq.js'
import { OWNED } from './left-out.js'

/** What a dead link costs: noticed after three seconds instead of six. */
export const QUICK = { heartbeat: 1_000, subscribeTimeout: 3_000 }

/** What the library's types leave out. */
interface Inside {
  connection: { stream: { destroy(): void } }
}

/** Publishes by a connection of its own, and knows whether the broker has it. */
export class Publisher {
  #channel: Promise<ConfirmChannel> | undefined
  #connection: ChannelModel | undefined

  constructor(private readonly url: string) {}

  async publish(exchange: string, key: string, payload: string | Uint8Array, options = {}) {
    const channel = await (this.#channel ??= this.#open())
    await new Promise<void>((resolve, reject) => {
      const late = () => reject(new Error('The broker did not confirm in time.'))
      const timer = setTimeout(late, 5_000)
      const settle = (error: unknown) => {
        clearTimeout(timer)
        if (error instanceof Error) reject(error)
        else resolve()
      }
      channel.publish(exchange, key, Buffer.from(payload as string), options, settle)
    })
  }

  async #open(): Promise<ConfirmChannel> {
    const forget = () => (this.#channel = undefined)
    try {
      const connection = await connect(`${this.url}?heartbeat=3`, { timeout: 5_000, noDelay: true })
      this.#connection = connection
      connection.on('error', forget)
      const channel = await connection.createConfirmChannel()
      channel.on('error', forget)
      channel.on('close', forget)
      await channel.assertExchange('unifrost', 'direct')
      await channel.assertExchange(TOPIC_EXCHANGE, 'topic')
      return channel
    } catch (error) {
      forget()
      throw error
    }
  }

  async close(): Promise<void> {
    const connection = this.#connection as (ChannelModel & Inside) | undefined
    if (!this.#channel || !connection) return
    // A connection that has been lost without a word may never answer.
    await inTime('closing the publisher', connection.close(), 3_000).catch(() => {
      connection.connection.stream.destroy()
    })
  }
}

/** What the tests share: one broker, a link to it, and a publisher past that link. */
export class RabbitmqFixture {
  server: RabbitmqServer | undefined
  #link: Link | undefined
  #publisher: Publisher | undefined
  #running: URL | undefined

  async start(): Promise<void> {
    if (RUNNING_RABBITMQ) this.#running = new URL(RUNNING_RABBITMQ)
    else this.server = await startRabbitmq()
    const { hostname, port } = this.#running ?? new URL(`amqp://${this.server?.host}`)
    this.#link = await tcpLink(Number(port || 5672), hostname)
    this.#publisher = new Publisher(RUNNING_RABBITMQ ?? urlOf(ADMIN, this.server?.host ?? ''))
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

  get publisher(): Publisher {
    if (!this.#publisher) throw new Error('The fixture has not been started.')
    return this.#publisher
  }

  /** The broker's address by way of the link, for who may only read. */
  get url(): string {
    const host = `127.0.0.1:${this.link.port}`
    if (!this.#running) return urlOf(READER, host)
    const { username, password, pathname } = this.#running
    return `amqp://${username || 'guest'}:${password || 'guest'}@${host}${pathname}`
  }

  publish(exchange: string, key: string, payload: string | Uint8Array): Promise<void> {
    return this.publisher.publish(exchange, key, payload)
  }
}

/** Who is in the way of a name that RabbitMQ can't hold. */
const NAMES = ['', 'x'.repeat(256), '€'.repeat(86), 'a.\ud800', '\udc00']

/** What the drivers are made of: an address, or a connection that somebody brought. */
export type Source = 'address' | 'connection'

/** The contract's harness: by address on a direct exchange, or by connection on a topic one. */
export function rabbitmqHarness(
  fixture: RabbitmqFixture,
  source: Source,
  limits = QUICK,
): { harness: DriverHarness; end(): Promise<void> } {
  const connections: { close(): Promise<void> }[] = []
  const bring = async (): Promise<RabbitConnection> => {
    // The library's own recovery: a connection without it does not come back.
    const recovery = { initialDelay: 50, maxDelay: 500 }
    const connection = await connect(`${fixture.url}?heartbeat=1`, { recovery, timeout: 2_000 })
    connection.on('error', () => undefined)
    connections.push(connection)
    return connection
  }
  const exchange = source === 'address' ? 'unifrost' : TOPIC_EXCHANGE
  const options: RabbitmqDriverOptions =
    source === 'address'
      ? {
          ...limits,
          address: (topic) =>
            topic.startsWith('private.') ? { exchange: PRIVATE_EXCHANGE, routingKey: 'x' } : topic,
        }
      : { ...limits, exchange, exchangeType: 'topic' }
  const server = () => fixture.server as RabbitmqServer
  const slow = 'a start takes RabbitMQ many seconds, so it is done by address only'
  const running = 'the broker was running already and is not ours to break'

  const harness: DriverHarness = {
    bound: 20_000,
    create: async () => rabbitmqDriver(source === 'address' ? fixture.url : await bring(), options),
    publish: (topic, payload) => fixture.publish(exchange, topic, payload),
    publisher: () => rabbitmqDriver(RUNNING_RABBITMQ ?? urlOf(ADMIN, server().host), options),
    special: { wildcard: ['#', 'orders.*', 'orders.#'], internal: ['amq.rabbitmq.trace'] },
    badTopics: NAMES,
    cut: () => fixture.link.cut(),
    stall: () => fixture.link.stall(),
    ...(source === 'address' ? { refuse: () => fixture.link.refuse() } : {}),
    unreachable: (address) => rabbitmqDriver(`amqp://${address}`),
    badLogin() {
      const address = `127.0.0.1:${fixture.link.port}`
      const secret = 'wrong-password'
      return { driver: rabbitmqDriver(`amqp://nobody:${secret}@${address}`), address, secret }
    },
    async brought() {
      const connection = await connect(fixture.url)
      return {
        driver: () => rabbitmqDriver(connection, options),
        listeners: () => countListeners(connection),
        async check() {
          const channel = await connection.createChannel()
          await channel.checkExchange(exchange)
          await channel.close()
        },
        end: () => connection.close(),
      }
    },
    without: {
      ...(source === 'connection' ? { refuse: OWNED, ownConnection: OWNED } : {}),
      ...(RUNNING_RABBITMQ
        ? {
            restart: running,
            freeze: running,
            leftovers: running,
            subscriptions: running,
            deniedTopic: running,
          }
        : source === 'connection'
          ? { restart: slow }
          : {}),
    },
    ...(RUNNING_RABBITMQ
      ? {}
      : {
          ...(source === 'address' ? { restart: () => server().process.restart() } : {}),
          async freeze() {
            await server().process.freeze()
            return async () => server().process.thaw()
          },
          async leftovers() {
            const { connections, queues, bindings } = await server().open()
            // A connection that was brought is its owner's, and no leftover.
            return queues + bindings + (source === 'address' ? connections : 0)
          },
          subscriptions: async () => (await server().open()).bindings,
          deniedTopic: source === 'address' ? 'private.topic' : 'denied.topic',
        }),
  }
  return {
    harness,
    async end() {
      await Promise.all(connections.map((connection) => connection.close()))
      if (!fixture.server) return
      await until('the broker to be alone', async () => (await server().open()).connections === 0)
    },
  }
}
