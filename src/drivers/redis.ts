import { ask, redisLink, connectNow } from '../brokers/redis/connect.js'
import type { RedisConnection } from '../brokers/redis/connection.js'
import { refusal } from '../brokers/redis/errors.js'
import { redisServer } from '../brokers/redis/libraries.js'
import type {
  IoRedisClient,
  NodeRedisClient,
  RedisLibrary,
  RedisTarget,
} from '../brokers/redis/libraries.js'
import { checkName } from '../brokers/redis/names.js'
import { redisChecks, redisTiming } from '../brokers/redis/options.js'
import type { RedisOptions } from '../brokers/redis/options.js'
import { isFinal } from '../brokers/redis/replies.js'
import {
  checkDriverOptions,
  Closings,
  driverShell,
  listenOver,
  routingChecks,
  Sources,
} from '../driver-kit/index.js'
import { kindOfTopic } from '../driver-kit/topic-kind.js'
import { SPECIAL_CHANNELS } from '../brokers/redis/special.js'
import type { BrokerDriver, ChoosePayload, OpenSource, OptionCheck } from '../driver-kit/index.js'
import { watchedServer } from './redis/watched.js'

export type { IoRedisClient, NodeRedisClient, RedisLibrary, RedisTarget }

/** One message of a channel. */
export interface RedisMessage {
  channel: string
  payload: Buffer
}

/** What `redisDriver` takes besides the target. Durations are in milliseconds. */
export interface RedisDriverOptions extends RedisOptions {
  /** The channel a topic is read from. Default: the topic's own name. */
  address?: (topic: string) => string
  /**
   * What of a message is sent to the clients of a topic: text, bytes, or `{ event, data }` for an
   * event of another name than the topic's. Default: its payload, byte for byte.
   */
  payload?: ChoosePayload<RedisMessage>
}

/** A driver on Redis pub/sub. */
export type RedisDriver = BrokerDriver

/**
 * Carries the channels of Redis pub/sub, over one connection, with another one to ask whether that
 * still leads where it did.
 *
 * @param target `redis://…` or `rediss://…`; or a client of `redis` or `ioredis`, whose settings
 *   are taken for a connection of the driver's own. The client itself is not used or changed.
 */
export function redisDriver(target: RedisTarget, options: RedisDriverOptions = {}): RedisDriver {
  checkDriverOptions('redisDriver', options, {
    address: routingChecks.address,
    payload: routingChecks.payload,
    ...redisChecks,
  } satisfies Record<keyof RedisDriverOptions, OptionCheck>)
  const { address, payload, library } = options
  const timing = redisTiming(options)
  const closings = new Closings('Redis')
  const server = redisServer('redisDriver', target, library)
  const link = redisLink(watchedServer(server), timing)
  const nameOf = (channel: string) => `channel ${JSON.stringify(channel)}`

  const listen = listenOver<RedisConnection, RedisMessage>(link, {
    listen: (connection, channel, message) =>
      connection.subscribe(channel, (bytes) => message({ channel, payload: bytes })),
    stop: (connection, channel) => connection.unsubscribe(channel),
    refusal: (channel, error) =>
      isFinal(error) ? refusal(nameOf(channel), server.where, error) : undefined,
    what: nameOf,
    subscribeTimeout: timing.subscribeTimeout,
  })
  const open: OpenSource<RedisMessage> = async (channel, events) => {
    checkName('channel', channel)
    return listen(channel, events)
  }
  const routing = { ...(address && { address }), ...(payload && { payload }) }
  const sources = new Sources<RedisMessage>('redisDriver', open, routing, (it) => it.payload)

  return driverShell({
    closings,
    brokerState: link.state,
    encoding: options.encoding,
    kindOf: kindOfTopic(SPECIAL_CHANNELS, address),
    connect: () => connectNow(link, timing.connectTimeout),
    subscribe: (topic, sink) => sources.subscribe(topic, sink),
    async publish(topic, payload) {
      const channel = address === undefined ? topic : address(topic)
      checkName('channel', channel)
      const connection = await link.get()
      const command = ['PUBLISH', channel, Buffer.from(payload as string)] as const
      await ask(link, connection, command, timing.pingTimeout).catch((error: unknown) => {
        throw isFinal(error) ? refusal(nameOf(channel), server.where, error) : error
      })
      return {}
    },
    async close() {
      await link.close()
      await sources.close()
    },
  })
}
