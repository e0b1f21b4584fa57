import {
  checkDriverOptions,
  checks,
  Closings,
  driverShell,
  Link,
  listenOver,
  routingChecks,
  Sources,
} from '../driver-kit/index.js'
import type { BrokerDriver, OptionCheck, RoutingOptions } from '../driver-kit/index.js'
import type { Published } from '../driver.js'
import { checkChannel } from './postgres/channel.js'
import { channelError, explained, isRefusal } from './postgres/errors.js'
import { notifying } from './postgres/notify.js'
import { postgresServer } from './postgres/server.js'
import type { PostgresConfig } from './postgres/server.js'
import type { PostgresClient, PostgresMessage, Session } from './postgres/session.js'

export type { PostgresClient, PostgresConfig, PostgresMessage }
export type { PostgresNotification } from './postgres/session.js'

/**
 * What `postgresDriver` takes besides the target. Durations are in milliseconds.
 *
 * Default of `address`: the channel with the topic's own name. Default of `payload`: the
 * notification's payload.
 */
export interface PostgresDriverOptions extends RoutingOptions<PostgresMessage> {
  /** How payloads travel: see {@link Driver.encoding}. Default: `utf8`. */
  encoding?: 'utf8' | 'base64'
  /** How long opening a topic may take, a reconnect included. Default: 5,000. */
  subscribeTimeout?: number
  /** How long one attempt to connect may take. Default: 5,000. */
  connectTimeout?: number
  /** How often the server has to show that it lives. Default: 1,000. */
  pingInterval?: number
  /** How long that may take before the connection is given up. Default: 2,000. */
  pingTimeout?: number
}

/** A driver on PostgreSQL's LISTEN and NOTIFY. */
export type PostgresDriver = BrokerDriver

/**
 * Carries the channels of PostgreSQL's LISTEN and NOTIFY, over one connection.
 *
 * @param target `postgres://…`, or settings of `pg.Client`: then the driver connects with the first
 *   topic and reconnects for ever. Or a connected `pg.Client`, which is used as it is and never
 *   closed; such a client can't connect again, so that its topics end with its connection.
 */
export function postgresDriver(
  target: PostgresClient | PostgresConfig | string,
  options: PostgresDriverOptions = {},
): PostgresDriver {
  checkDriverOptions('postgresDriver', options, {
    ...routingChecks,
    encoding: checks.encoding,
    subscribeTimeout: checks.duration,
    connectTimeout: checks.duration,
    pingInterval: checks.duration,
    pingTimeout: checks.duration,
  } satisfies Record<keyof PostgresDriverOptions, OptionCheck>)
  const { subscribeTimeout, connectTimeout, pingInterval = 1_000, pingTimeout = 2_000 } = options

  const server = postgresServer(target)
  const { where, hint } = server
  const closings = new Closings('PostgreSQL')
  const link = new Link<Session>({
    broker: 'PostgreSQL',
    where,
    prepare: () => server.prepare(),
    connect: (attempt) => server.open(attempt),
    lost: (session) => session.lost,
    end: (session) => server.end(session),
    again: (error) => server.comesBack && !isRefusal(error),
    probe: { interval: pingInterval, timeout: pingTimeout, ask: (session) => session.ask('') },
    explain: (cause) => explained(where, cause, hint),
    ...(connectTimeout && { connectTimeout }),
  })
  const listen = listenOver<Session, PostgresMessage>(link, {
    async listen(session, channel, message) {
      await session.listen(channel, message)
      // Where there are thousands of channels, the probe waits behind them.
      link.heard()
    },
    stop: (session, channel) => session.unlisten(channel),
    refusal: (channel, error) => channelError(where, channel, error),
    what: (channel) => `channel ${JSON.stringify(channel)}`,
    ...(subscribeTimeout && { subscribeTimeout }),
  })
  const sources = new Sources<PostgresMessage>(
    'postgresDriver',
    async (channel, events) => {
      checkChannel(channel)
      return listen(channel, events)
    },
    options,
    ({ payload }) => payload,
  )

  async function publish(topic: string, payload: string | Uint8Array): Promise<Published> {
    const channel = options.address === undefined ? topic : options.address(topic)
    checkChannel(channel)
    const statement = notifying(channel, payload)
    await (await link.get()).ask(statement)
    return {}
  }

  return driverShell({
    closings,
    encoding: options.encoding,
    brokerState: link.state,
    connect: () => link.get(),
    subscribe: (topic, sink) => sources.subscribe(topic, sink),
    publish: options.sources === undefined ? publish : undefined,
    async close() {
      await link.close()
      await sources.close()
    },
  })
}
