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
import type { OptionCheck } from './toolbox/options.js'
import { checkDriverOptions, duration, encoding as encodingCheck } from './toolbox/options.js'
import { routingChecks, Sources } from './toolbox/sources.js'
import type { SourceEvents } from './toolbox/sources.js'

export type { IoRedisClient, NodeRedisClient, RedisLibrary, RedisTarget }

/** One message of a channel. */
export interface RedisMessage {
  channel: string
  payload: Buffer
}

/** What `redisDriver` takes besides the target. Durations are in milliseconds. */
export interface RedisDriverOptions {
  /** The channel a topic is read from. Default: the topic's own name. */
  address?: (topic: string) => string
  /** What of a message is sent. Default: its payload, byte for byte. */
  payload?: (message: RedisMessage) => string | Uint8Array
  /** How payloads travel: see {@link Driver.encoding}. Default: `utf8`. */
  encoding?: 'utf8' | 'base64'
  /** How long Redis may take to confirm a channel, a reconnect included. Default: 5,000. */
  subscribeTimeout?: number
  /** How long one attempt to connect may take. Default: 5,000. */
  connectTimeout?: number
  /** How often the connection is asked whether it still lives. Default: 1,000. */
  pingInterval?: number
  /** How long the answer may take before the connection is given up. Default: 2,000. */
  pingTimeout?: number
  /** The library that connects to a URL. Default: `redis`, or `ioredis` where that is not there. */
  library?: RedisLibrary
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
  const { encoding = 'utf8', subscribeTimeout = 5_000, connectTimeout = 5_000 } = options
  const { pingInterval = 1_000, pingTimeout = 2_000, address, payload, library } = options
  checkDriverOptions('redisDriver', options, {
    address: routingChecks.address,
    payload: routingChecks.payload,
    encoding: encodingCheck,
    subscribeTimeout: duration,
    connectTimeout: duration,
    pingInterval: duration,
    pingTimeout: duration,
    library: [(value) => value === 'redis' || value === 'ioredis', "'redis' or 'ioredis'"],
  } satisfies Record<keyof RedisDriverOptions, OptionCheck>)

  const channels = new Set<RedisChannel>()
  const server = redisServer('redisDriver', target, library)
  const timing = { connectTimeout, pingInterval, pingTimeout }
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
    async connect() {
      await link.get(connectTimeout)
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
