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
import {
  checkDriverOptions,
  checks,
  Closings,
  driverShell,
  routingChecks,
  Sources,
} from '../driver-kit/index.js'
import type { Published } from '../driver.js'
import { kindOfTopic } from '../driver-kit/topic-kind.js'
import { SPECIAL_CHANNELS } from '../brokers/redis/special.js'
import type { BrokerDriver, OpenSource, OptionCheck, RoutingOptions } from '../driver-kit/index.js'
import type { LogDriver } from '../log.js'
import { StreamLog } from './redis-streams/log.js'
import { StreamsReader } from './redis-streams/reader.js'
import { Routes } from './redis-streams/routes.js'
import type { RedisStreamMessage } from './redis-streams/stream.js'

export type { IoRedisClient, NodeRedisClient, RedisLibrary, RedisStreamMessage, RedisTarget }

/** An entry to be written. */
export interface RedisStreamEntry {
  stream: string
  fields: Readonly<Record<string, string | Uint8Array>>
}

/** What `redisStreamsDriver` takes besides the target. Durations are in milliseconds. */
export interface RedisStreamsDriverOptions
  extends RedisOptions, RoutingOptions<RedisStreamMessage> {
  /** The field of an entry that is sent, where there is no `payload`. Default: `data`. */
  field?: string
  /**
   * The entry that `publish` writes for a topic: its stream and its fields. Default: the stream of the
   * topic's own name, or of `address`, with the payload in `field`; with `sources` there is none, and the
   * driver only reads.
   */
  entry?: (topic: string, payload: string | Uint8Array) => RedisStreamEntry
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
export type RedisStreamsDriver = BrokerDriver & LogDriver

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
  checkDriverOptions('redisStreamsDriver', options, {
    ...routingChecks,
    ...redisChecks,
    field: checks.text,
    entry: checks.callback('a function from a topic and a payload to { stream, fields }'),
    checkInterval: checks.duration,
    log: checks.flag,
  } satisfies Record<keyof RedisStreamsDriverOptions, OptionCheck>)

  const { field = 'data', checkInterval = 10_000, library } = options
  const timing = redisTiming(options)
  const closings = new Closings('Redis')
  const server = redisServer('redisStreamsDriver', target, library)
  const reader = new StreamsReader(server, timing, checkInterval)
  const open: OpenSource<RedisStreamMessage> = async (name, events) => {
    checkName('stream', name)
    return reader.open(name, events)
  }
  const sources = new Sources<RedisStreamMessage>('redisStreamsDriver', open, options, body)
  const log = logOf()

  function logOf(): StreamLog | undefined {
    const [stream, other] = new Set(options.sources)
    if (stream === undefined || other !== undefined || options.log === false) return undefined
    checkName('stream', stream)
    return new StreamLog(reader, stream, new Routes(options, body), timing.subscribeTimeout)
  }

  function body({ id, fields }: RedisStreamMessage): Buffer {
    const value = fields[field]
    if (value !== undefined) return value
    throw new Error(`Entry ${id} has no field ${field}. Name another in field, or give payload.`)
  }

  const writes = options.sources === undefined || options.entry !== undefined
  async function publish(topic: string, payload: string | Uint8Array): Promise<Published> {
    const { entry, address } = options
    const given = entry?.(topic, payload) ?? {
      stream: address === undefined ? topic : address(topic),
      fields: { [field]: payload },
    }
    checkName('stream', given.stream)
    const call = await reader.commands()
    const pairs = Object.entries(given.fields)
    const fields = pairs.flatMap(([name, value]) => [name, Buffer.from(value as string)])
    return { position: String(await call('XADD', given.stream, '*', ...fields)) }
  }

  const shell = driverShell({
    closings,
    encoding: options.encoding,
    kindOf: kindOfTopic(SPECIAL_CHANNELS, options.address),
    brokerState: reader.brokerState,
    connect: () => reader.connect(timing.connectTimeout),
    subscribe: (topic, sink) => (log ?? sources).subscribe(topic, sink),
    publish: writes ? publish : undefined,
    async close() {
      await reader.close()
      await sources.close()
    },
  })
  return log ? { ...shell, log } : shell
}
