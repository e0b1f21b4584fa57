import type {
  NatsConnect,
  NatsConnection,
  NatsConnectOptions,
  NatsMessage,
  NatsStatus,
  NatsSubscription,
} from '../brokers/nats/connection.js'
import { natsLink } from '../brokers/nats/link.js'
import { SPECIAL_SUBJECTS, toSubject } from '../brokers/nats/subject.js'
import {
  checkDriverOptions,
  checks,
  Closings,
  connectError,
  driverShell,
  inTime,
  PAYLOAD,
  retryUntil,
} from '../driver-kit/index.js'
import { kindOfTopic } from '../driver-kit/topic-kind.js'
import type { BrokerDriver, ChoosePayload, OptionCheck } from '../driver-kit/index.js'
import { NatsTopic } from './nats/topic.js'

export type {
  NatsConnect,
  NatsConnection,
  NatsConnectOptions,
  NatsMessage,
  NatsStatus,
  NatsSubscription,
}

/** What `natsDriver` takes besides the connection. Durations are in milliseconds. */
export interface NatsDriverOptions {
  /** The subject a topic is read from. Default: the topic's own name. */
  address?: (topic: string) => string
  /**
   * What of a message is sent to the clients of a topic: text, bytes, or `{ event, data }` for an
   * event of another name than the topic's. With a wildcard as the topic, `message.subject` says which
   * subject it was. Default: its data, byte for byte.
   */
  payload?: ChoosePayload<NatsMessage>
  /** How payloads travel: see {@link Driver.encoding}. Default: `utf8`. */
  encoding?: 'utf8' | 'base64'
  /** How long the server may take to confirm a subscription. Default: 5,000. */
  subscribeTimeout?: number
  /** How long connecting may take, over all servers. By address only. Default: 5,000. */
  connectTimeout?: number
  /**
   * The library's `connect`, for one that is not found by its name. By address only.
   * Default: that of `@nats-io/transport-node`, or of `nats`, whichever is installed.
   */
  connect?: NatsConnect
}

/** A driver on NATS. */
export type NatsDriver = BrokerDriver

/**
 * Carries the subjects of core NATS.
 *
 * @param target A connection of `nats` or `@nats-io/transport-node`, which is used as it is and
 *   never closed; or an address, or the library's options with `servers`: then the driver
 *   connects with the first topic, notices a dead link within about three seconds, and
 *   reconnects for ever.
 */
export function natsDriver(
  target: NatsConnection | string | NatsConnectOptions,
  options: NatsDriverOptions = {},
): NatsDriver {
  checkDriverOptions('natsDriver', options, {
    address: checks.callback('a function from a topic to a subject'),
    payload: checks.callback(PAYLOAD),
    encoding: checks.encoding,
    subscribeTimeout: checks.duration,
    connectTimeout: checks.duration,
    connect: checks.callback("the library's connect function"),
  } satisfies Record<keyof NatsDriverOptions, OptionCheck>)
  const { payload } = options
  const { address = (topic) => topic, subscribeTimeout = 5_000, connectTimeout = 5_000 } = options

  const closings = new Closings('NATS')
  const topics = new Set<NatsTopic>()
  const settings = { user: 'natsDriver', connect: options.connect, connectTimeout }
  const link = natsLink(target, settings, {
    status({ type, error, data }, connection) {
      if (type === 'reconnect') void reconnected(connection)
      else if (type === 'error' && isRefusal(error, data)) refused(error, data)
    },
    ended(error) {
      for (const topic of [...topics]) topic.ended(error)
    },
  })

  async function reconnected(connection: NatsConnection): Promise<void> {
    const reason = `The link to NATS was lost and is back, at ${connection.getServer()}.`
    for (const topic of topics) topic.reconnected(reason)
    try {
      await connection.flush()
    } catch {
      // The link is lost again: when it is back, we are here again.
      return
    }
    for (const topic of topics) topic.restored()
  }

  function refused(error: Error | undefined, data: unknown): void {
    const reason = error?.message ?? String(data)
    const refusal = new Error(`NATS refused a subscription (${reason}).`, { cause: error })
    for (const topic of topics) topic.refused(refusal)
  }

  /** A connection may be there, brought or kept, although its server does not answer. */
  async function connect(): Promise<void> {
    const connection = await link.get()
    const until = performance.now() + connectTimeout
    // While the library reconnects, asking fails at once.
    const again = () => !connection.isClosed()
    try {
      await retryUntil(until, () => connection.flush(), { again, signal: closings.signal })
    } catch (error) {
      closings.check()
      throw connectError('NATS', connection.getServer(), error, {
        unreachable: 'Check that it is up and reachable.',
      })
    }
  }

  return driverShell({
    closings,
    brokerState: link.state,
    encoding: options.encoding,
    kindOf: kindOfTopic(SPECIAL_SUBJECTS, address),
    connect,
    async subscribe(name, sink) {
      const subject = toSubject(name, address)
      const connection = await link.get()
      closings.check()
      const topic = new NatsTopic(connection, { name, subject, payload }, sink, topics)
      return topic.opened(subscribeTimeout, closings.signal)
    },
    async publish(name, payload) {
      const subject = toSubject(name, address)
      const connection = await link.get()
      connection.publish(subject, Buffer.from(payload as string))
      // The server has it when it has answered what was sent behind it.
      await inTime(connection.flush(), subscribeTimeout)
      return {}
    },
    async close() {
      for (const topic of [...topics]) topic.release()
      await link.close()
    },
  })
}

/**
 * Whether the server has refused a subscription. It does not say which. Version 2 of the library
 * gives only a code, which covers more errors; a subscribe that is refused for one of those may be
 * tried again at once.
 */
function isRefusal(error: Error | undefined, data: unknown): boolean {
  return error
    ? /subscriptions exceeded|invalid subject/i.test(error.message)
    : data === 'NATS_PROTOCOL_ERR'
}
