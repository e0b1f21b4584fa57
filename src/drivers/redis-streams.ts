import { kindOfTopic } from '../driver-kit/topic-kind.js'
import { SPECIAL_CHANNELS } from './redis/special.js'
import type { Subscription } from '../driver.js'
import type { LogDriver } from '../log.js'
import { TopicNameError } from '../errors.js'
import { StreamLog } from './redis-streams/log.js'
import { StreamsReader } from './redis-streams/reader.js'
import { Routes } from './redis-streams/routes.js'
import type { RedisStreamMessage } from './redis-streams/stream.js'
import { brokenNameRule } from './redis/connection.js'
import { redisServer } from './redis/libraries.js'
import type {
  IoRedisClient,
  NodeRedisClient,
  RedisLibrary,
  RedisTarget,
} from './redis/libraries.js'
import { closedError } from './redis/link.js'
import { redisChecks, redisTiming } from './redis/options.js'
import type { RedisOptions } from './redis/options.js'
import type { OptionCheck } from '../driver-kit/options.js'
import { checkDriverOptions, duration, flag, text } from '../driver-kit/options.js'
import { routingChecks, Sources } from '../driver-kit/sources.js'
import type { RoutingOptions, SourceEvents } from '../driver-kit/sources.js'

export type { IoRedisClient, NodeRedisClient, RedisLibrary, RedisStreamMessage, RedisTarget }

/** What `redisStreamsDriver` takes besides the target. Durations are in milliseconds. */
export interface RedisStreamsDriverOptions
  extends RedisOptions, RoutingOptions<RedisStreamMessage> {
  /** The field of an entry that is sent, where there is no `payload`. Default: `data`. */
  field?: string
  /**
   * How often every stream is looked at, to notice one that was deleted or made anew with lower
   * ids, which no read tells. Default: 10,000.
   */
  checkInterval?: number
  /**
   * Whether one stream with many topics is a log, so that a client goes on exactly on any server.
   * It takes a key beside the stream, which names the epoch. Default: true with exactly one of
   * `sources`; it does nothing for others, which have no one order.
   */
  log?: boolean
}

/** A driver on Redis Streams. */
export interface RedisStreamsDriver extends LogDriver {
  /**
   * Connects now instead of with the first topic, to find out early that it can't. It rejects
   * with one error that says what to do, and may be called again.
   */
  connect(): Promise<void>
}

/**
 * Carries the entries of Redis Streams, from when a topic is opened, without a consumer group.
 * It goes on after a broken link from where it was, so that nothing is missed which Redis kept.
 *
 * @param target `redis://…` or `rediss://…`; or a client of `redis` or `ioredis`, whose settings
 *   are taken for two connections of the driver's own. The client itself is not used or changed.
 */
export function redisStreamsDriver(
  target: RedisTarget,
  options: RedisStreamsDriverOptions = {},
): RedisStreamsDriver {
  const { encoding = 'utf8', field = 'data', checkInterval = 10_000, library } = options
  checkDriverOptions('redisStreamsDriver', options, {
    ...routingChecks,
    ...redisChecks,
    field: text,
    checkInterval: duration,
    log: flag,
  } satisfies Record<keyof RedisStreamsDriverOptions, OptionCheck>)

  const timing = redisTiming(options)
  const server = redisServer('redisStreamsDriver', target, library)
  const reader = new StreamsReader(server, timing, checkInterval)
  const sources = new Sources<RedisStreamMessage>('redisStreamsDriver', open, options, body)
  const log = logOf()
  let closed: Promise<void> | undefined

  function logOf(): StreamLog | undefined {
    const [stream, other] = new Set(options.sources)
    if (stream === undefined || other !== undefined || options.log === false) return undefined
    checkName(stream)
    return new StreamLog(reader, stream, new Routes(options, body), timing.subscribeTimeout)
  }

  async function open(
    name: string,
    events: SourceEvents<RedisStreamMessage>,
  ): Promise<Subscription> {
    checkName(name)
    return reader.open(name, events)
  }

  function checkName(name: string): void {
    const rule = brokenNameRule('stream', name)
    if (rule === undefined) return
    const shown = JSON.stringify(name)?.slice(0, 100)
    throw new TopicNameError(`The stream ${shown} can't be read from Redis: ${rule}.`)
  }

  function body({ id, fields }: RedisStreamMessage): Buffer {
    const value = fields[field]
    if (value !== undefined) return value
    throw new Error(`Entry ${id} has no field ${field}. Name another in field, or give payload.`)
  }

  async function shut(): Promise<void> {
    await reader.close()
    await sources.close()
  }

  return {
    encoding,
    kindOf: kindOfTopic(SPECIAL_CHANNELS, options.address),
    ...(log && { log }),
    async connect() {
      if (closed) throw closedError()
      await reader.connect(timing.connectTimeout)
    },
    async subscribe(topic, sink) {
      if (closed) throw closedError()
      return (log ?? sources).subscribe(topic, sink)
    },
    close() {
      closed ??= shut()
      return closed
    },
  }
}
