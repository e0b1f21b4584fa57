import { kindOfTopic } from '../driver-kit/topic-kind.js'
import { SPECIAL_CHANNELS } from './redis/special.js'
import type { Driver, Subscription } from '../driver.js'
import { TopicNameError } from '../errors.js'
import { RedisChannel } from './redis/channel.js'
import { brokenNameRule } from './redis/connection.js'
import { redisServer } from './redis/libraries.js'
import type {
  IoRedisClient,
  NodeRedisClient,
  RedisLibrary,
  RedisTarget,
} from './redis/libraries.js'
import { closedError, RedisLink } from './redis/link.js'
import { redisChecks, redisTiming } from './redis/options.js'
import type { RedisOptions } from './redis/options.js'
import type { OptionCheck } from '../driver-kit/options.js'
import { checkDriverOptions } from '../driver-kit/options.js'
import { routingChecks, Sources } from '../driver-kit/sources.js'
import type { SourceEvents } from '../driver-kit/sources.js'

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
  /** What of a message is sent. Default: its payload, byte for byte. */
  payload?: (message: RedisMessage) => string | Uint8Array
}

/** A driver on Redis pub/sub. */
export interface RedisDriver extends Driver {
  /**
   * Connects now instead of with the first topic, to find out early that it can't. It rejects
   * with one error that says what to do, and may be called again.
   */
  connect(): Promise<void>
}

/**
 * Carries the channels of Redis pub/sub, over one connection.
 *
 * @param target `redis://…` or `rediss://…`; or a client of `redis` or `ioredis`, whose settings
 *   are taken for a connection of the driver's own. The client itself is not used or changed.
 */
export function redisDriver(target: RedisTarget, options: RedisDriverOptions = {}): RedisDriver {
  const { encoding = 'utf8', address, payload, library } = options
  checkDriverOptions('redisDriver', options, {
    address: routingChecks.address,
    payload: routingChecks.payload,
    ...redisChecks,
  } satisfies Record<keyof RedisDriverOptions, OptionCheck>)
  const timing = redisTiming(options)
  const channels = new Set<RedisChannel>()
  const server = redisServer('redisDriver', target, library)
  const link = new RedisLink(server, timing, {
    up(connection) {
      for (const channel of channels) channel.attach(connection)
    },
    over(error) {
      for (const channel of channels) channel.end(error)
    },
  })
  const routing = { ...(address && { address }), ...(payload && { payload }) }
  const sources = new Sources<RedisMessage>('redisDriver', open, routing, (it) => it.payload)
  let closed: Promise<void> | undefined

  async function open(name: string, events: SourceEvents<RedisMessage>): Promise<Subscription> {
    const rule = brokenNameRule('channel', name)
    if (rule !== undefined) {
      const shown = JSON.stringify(name)?.slice(0, 100)
      throw new TopicNameError(`The channel ${shown} can't be read from Redis: ${rule}.`)
    }
    const { subscribeTimeout } = timing
    const until = performance.now() + subscribeTimeout
    const connection = await link.get(subscribeTimeout)
    const channel = new RedisChannel(name, events, link, channels)
    channel.attach(connection)
    await channel.opened(until - performance.now(), subscribeTimeout)
    return channel
  }

  async function shut(): Promise<void> {
    for (const channel of channels) channel.abandon(closedError())
    await link.close()
    await sources.close()
  }

  return {
    encoding,
    kindOf: kindOfTopic(SPECIAL_CHANNELS, address),
    async connect() {
      await link.get(timing.connectTimeout)
    },
    async subscribe(topic, sink) {
      if (closed) throw closedError()
      return sources.subscribe(topic, sink)
    },
    close() {
      closed ??= shut()
      return closed
    },
  }
}
