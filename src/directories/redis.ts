import { redisServer } from '../brokers/redis/libraries.js'
import type {
  IoRedisClient,
  NodeRedisClient,
  RedisLibrary,
  RedisTarget,
} from '../brokers/redis/libraries.js'
import { redisChecks } from '../brokers/redis/options.js'
import type { Directory } from '../directory.js'
import { checkDriverOptions, checks } from '../driver-kit/index.js'
import type { OptionCheck } from '../driver-kit/index.js'
import { RedisEngine } from './redis/engine.js'

export type { IoRedisClient, NodeRedisClient, RedisLibrary, RedisTarget }

/** What `redisDirectory` takes besides the target. Durations are in milliseconds. */
export interface RedisDirectoryOptions {
  /**
   * What the names of all keys and channels begin with. Servers with the same one are one cluster.
   * On Redis Cluster give one with a hash tag, such as `{unifrost}:`. Default: `unifrost:`.
   */
  prefix?: string
  /**
   * How long a server counts as alive without a word. It renews that at a third. Default: 10,000.
   */
  lease?: number
  /** How long Redis may take to answer before the connection is given up. Default: 2,000. */
  timeout?: number
  /** How long one attempt to connect may take. Default: 5,000. */
  connectTimeout?: number
  /** The library that connects to a URL. Default: `redis`, or `ioredis` where that is not there. */
  library?: RedisLibrary
}

/**
 * Remembers clients in Redis, 6 or newer, over two connections.
 *
 * @param target `redis://…` or `rediss://…`; or a client of `redis` or `ioredis`, whose settings
 *   are taken for connections of the directory's own. The client itself is not used or changed.
 */
export function redisDirectory(
  target: RedisTarget,
  options: RedisDirectoryOptions = {},
): Directory {
  checkDriverOptions('redisDirectory', options, {
    prefix: checks.text,
    lease: checks.duration,
    timeout: checks.duration,
    connectTimeout: checks.duration,
    library: redisChecks.library,
  } satisfies Record<keyof RedisDirectoryOptions, OptionCheck>)
  const { prefix = 'unifrost:', lease = 10_000, timeout = 2_000, connectTimeout = 5_000 } = options
  const server = redisServer('redisDirectory', target, options.library)
  return new RedisEngine(server, { prefix, lease, timeout, connectTimeout })
}
