import { connect as connectAmqp } from 'amqplib'
import type { Link } from '../../src/testing/index.js'
import { tcpLink } from '../../src/testing/index.js'
import { startNats } from '../../test/brokers/nats.js'
import type { BrokerProcess } from '../../test/brokers/process.js'
import { ADMIN as RABBIT_ADMIN, startRabbitmq, urlOf } from '../../test/brokers/rabbitmq.js'
import { bounded } from '../kit/bounded.js'
import type { Messages } from '../kit/publishing.js'
import { natsPublisher, PUBLISH_TIMEOUT, publishOnNats } from '../kit/publishing.js'
import type { FaultyServer, ServerConfig } from './faulty-server-messages.js'

export type BrokerKind = ServerConfig['broker']['kind']

/** A broker with its publisher, and the link by which the server under test reaches it. */
export interface Broker {
  readonly kind: BrokerKind
  readonly config: ServerConfig['broker']
  /** @returns whether the broker has confirmed in time that it has them. */
  publish(messages: Messages, server: FaultyServer | undefined): Promise<boolean>
  /** What can be done to it; memory has neither a process nor a link. */
  readonly process?: BrokerProcess
  readonly link?: Link
  stop(): Promise<void>
}

export async function startBroker(kind: BrokerKind): Promise<Broker> {
  if (kind === 'nats') return natsBroker()
  if (kind === 'rabbitmq') return rabbitmqBroker()
  return {
    kind,
    config: { kind: 'memory' },
    publish: async (messages, server) =>
      (await server?.ask({ do: 'publish', messages })) !== undefined,
    stop: async () => undefined,
  }
}

async function natsBroker(): Promise<Broker> {
  const server = await startNats()
  const link = await tcpLink(server.port)
  const connection = await natsPublisher([server.url])
  return {
    kind: 'nats',
    config: { kind: 'nats', url: `nats://127.0.0.1:${link.port}` },
    publish: (messages) => publishOnNats(connection, messages),
    process: server.process,
    link,
    async stop() {
      await bounded(connection.close(), PUBLISH_TIMEOUT)
      await link.close()
      await server.stop()
    },
  }
}

async function rabbitmqBroker(): Promise<Broker> {
  const server = await startRabbitmq()
  const link = await tcpLink(server.port)
  const publisher = new RabbitPublisher(urlOf(RABBIT_ADMIN, server.host))
  return {
    kind: 'rabbitmq',
    config: { kind: 'rabbitmq', url: urlOf(RABBIT_ADMIN, `127.0.0.1:${link.port}`) },
    publish: (messages) => bounded(publisher.publish(messages), PUBLISH_TIMEOUT),
    process: server.process,
    link,
    async stop() {
      await bounded(publisher.close(), PUBLISH_TIMEOUT)
      await link.close()
      await server.stop()
    },
  }
}

/** Publishes with confirmation, on a connection that is made anew when it has broken. */
class RabbitPublisher {
  private channel: ReturnType<RabbitPublisher['open']> | undefined

  constructor(private readonly url: string) {}

  async publish(messages: Messages): Promise<void> {
    this.channel ??= this.open()
    const opened = this.channel
    try {
      const { channel } = await opened
      for (const [topic, payload] of messages) {
        channel.publish('unifrost', topic, Buffer.from(payload))
      }
      await channel.waitForConfirms()
    } catch (error) {
      // Whether the broker has them is unknown: the next ones go by a new connection.
      if (this.channel === opened) this.channel = undefined
      throw error
    }
  }

  async close(): Promise<void> {
    const { connection } = (await this.channel?.catch(() => undefined)) ?? {}
    await connection?.close()
  }

  private async open() {
    const connection = await connectAmqp(`${this.url}?heartbeat=1`, { timeout: 2_000 })
    // `close` follows, and then every confirmation that was waited for is refused.
    connection.on('error', () => undefined)
    const forget = () => (this.channel = undefined)
    connection.on('close', forget)
    const channel = await connection.createConfirmChannel()
    channel.on('error', () => undefined)
    return { connection, channel }
  }
}
