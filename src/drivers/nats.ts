import type { Driver, Sink, Subscription } from '../driver.js'
import { Backoff, connectNats, connectOptions, loadConnect } from './nats/connection.js'
import type {
  NatsConnect,
  NatsConnection,
  NatsConnectOptions,
  NatsStatus,
  NatsSubscription,
} from './nats/connection.js'
import { toSubject } from './nats/subject.js'
import { CLOSE_TIMEOUT, NatsTopic } from './nats/topic.js'
import type { OptionCheck } from './toolbox/options.js'
import {
  callback,
  checkDriverOptions,
  duration,
  encoding as encodingCheck,
} from './toolbox/options.js'
import { within } from './toolbox/within.js'

export type { NatsConnect, NatsConnection, NatsConnectOptions, NatsStatus, NatsSubscription }

/** What `natsDriver` takes besides the connection. Durations are in milliseconds. */
export interface NatsDriverOptions {
  /** The subject a topic is read from. Default: the topic's own name. */
  address?: (topic: string) => string
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
export interface NatsDriver extends Driver {
  /**
   * Connects now instead of with the first topic, to find out early that it can't. It rejects
   * with one error that says what to do, and may be called again.
   */
  connect(): Promise<void>
}

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
  const { address = (topic) => topic, encoding = 'utf8' } = options
  const { subscribeTimeout = 5_000, connectTimeout = 5_000 } = options
  checkDriverOptions('natsDriver', options, {
    address: callback('a function from a topic to a subject'),
    encoding: encodingCheck,
    subscribeTimeout: duration,
    connectTimeout: duration,
    connect: callback("the library's connect function"),
  } satisfies Record<keyof NatsDriverOptions, OptionCheck>)
  const brought = isConnection(target) ? target : undefined
  const server = isConnection(target) ? undefined : connectOptions(target)

  const topics = new Set<NatsTopic>()
  const backoff = new Backoff()
  let link: Promise<NatsConnection> | undefined
  let current: NatsConnection | undefined
  let stopFollowing: (() => void) | undefined
  let closed: Promise<void> | undefined

  function linked(): Promise<NatsConnection> {
    if (!link) {
      const made = open()
      link = made
      made.catch(() => {
        if (link === made) link = undefined
      })
    }
    return link
  }

  async function open(): Promise<NatsConnection> {
    const connection = server
      ? await connectNats(server, connectTimeout, backoff, options.connect ?? (await loadConnect()))
      : (brought as NatsConnection)
    if (closed) {
      if (server) await within(connection.close(), CLOSE_TIMEOUT)
      throw closedError()
    }
    if (connection.isClosed()) throw closedConnectionError()
    current = connection
    const statuses = connection.status()
    stopFollowing = () => (statuses as { stop?: () => void }).stop?.()
    follow(connection, statuses).catch((error: unknown) => end(connection, error))
    void connection.closed().then((reason) => end(connection, reason))
    return connection
  }

  async function follow(connection: NatsConnection, statuses: AsyncIterable<NatsStatus>) {
    for await (const { type, error, data } of statuses) {
      backoff.follow(type)
      if (type === 'reconnect') {
        const reason = `The link to NATS was lost and is back, at ${connection.getServer()}.`
        for (const topic of topics) topic.reconnected(reason)
        void restore(connection)
      } else if (type === 'error' && isRefusal(error, data)) {
        const reason = error?.message ?? String(data)
        const refusal = new Error(`NATS refused a subscription (${reason}).`, { cause: error })
        for (const topic of topics) topic.refused(refusal)
      }
    }
  }

  async function restore(connection: NatsConnection) {
    try {
      await connection.flush()
    } catch {
      // The link is lost again: when it is back, we are here again.
      return
    }
    for (const topic of topics) topic.restored()
  }

  /** The connection is closed for good: by its owner, or since its credentials are refused. */
  function end(connection: NatsConnection, reason: unknown) {
    if (current !== connection) return
    current = link = undefined
    const error = new Error('The connection to NATS has been closed.', { cause: reason })
    for (const topic of [...topics]) topic.ended(error)
  }

  return {
    encoding,

    async connect() {
      if (closed) throw closedError()
      await linked()
    },

    async subscribe(name: string, sink: Sink): Promise<Subscription> {
      if (closed) throw closedError()
      const subject = toSubject(name, address)
      const connection = await linked()
      if (closed) throw closedError()
      const topic = new NatsTopic(connection, subject, sink, topics)
      try {
        await topic.opened(subscribeTimeout)
      } catch (error) {
        topic.release()
        throw error
      }
      return topic
    },

    close() {
      closed ??= shut()
      return closed
    },
  }

  async function shut(): Promise<void> {
    for (const topic of [...topics]) topic.abandon(closedError())
    await link?.catch(() => undefined)
    stopFollowing?.()
    const connection = current
    current = undefined
    if (!connection || connection.isClosed()) return
    await within(server ? connection.close() : connection.flush(), CLOSE_TIMEOUT)
  }
}

/**
 * The server names no subject in these. v2 tells the code only, which covers more errors; a
 * subscribe that is refused for one of them may be tried again at once.
 */
function isRefusal(error: Error | undefined, data: unknown): boolean {
  return error
    ? /subscriptions exceeded|invalid subject/i.test(error.message)
    : data === 'NATS_PROTOCOL_ERR'
}

function isConnection(target: unknown): target is NatsConnection {
  return typeof (target as NatsConnection | undefined)?.subscribe === 'function'
}

function closedError(): Error {
  return new Error('This NATS driver has been closed. Make a new one.')
}

function closedConnectionError(): Error {
  return new Error(
    'The NATS connection given to natsDriver has been closed. Make a new connection and a new ' +
      'driver, or give the address and let the driver connect.',
  )
}
