import { redisServer } from '../brokers/redis/libraries.js'
import type {
  IoRedisClient,
  NodeRedisClient,
  RedisLibrary,
  RedisTarget,
} from '../brokers/redis/libraries.js'
import { redisChecks } from '../brokers/redis/options.js'
import { checkDriverOptions, checks } from '../driver-kit/index.js'
import type { OptionCheck } from '../driver-kit/index.js'
import { RedisStore } from './redis/store.js'
import type { RunStore } from './store.js'

export type { IoRedisClient, NodeRedisClient, RedisLibrary, RedisTarget, RunStore }

/** What `redisRuns` takes besides the target. Durations are in milliseconds. */
export interface RedisRunsOptions {
  /**
   * What the names of all keys and channels begin with. Servers with the same one share their runs. On
   * Redis Cluster give one with a hash tag, such as `{runs}:`. Default: `unifrost:runs:`.
   */
  prefix?: string
  /**
   * How long a producer counts as alive without a word. It is renewed at a third. When it is over, the
   * run ends as `failed` with `server-lost`. Default: 6,000.
   */
  lease?: number
  /** How long Redis may take to answer before a call fails. Default: 2,000. */
  timeout?: number
  /** How long one attempt to connect may take. Default: 5,000. */
  connectTimeout?: number
  /** The library that connects to a URL. Default: `redis`, or `ioredis` where that is not there. */
  library?: RedisLibrary
}

/**
 * Keeps runs in Redis, 6 or newer, over two connections: every server with the same Redis and prefix
 * serves all of them. Close it with `answers.close()` or with the Streamer.
 *
 * @param target `redis://…` or `rediss://…`; or a client of `redis` or `ioredis`, whose settings are
 *   taken for connections of its own. The client itself is not used or changed.
 * @throws OptionsError
 */
export function redisRuns(target: RedisTarget, options: RedisRunsOptions = {}): RunStore {
  checkDriverOptions('redisRuns', options, {
    prefix: checks.text,
    lease: checks.duration,
    timeout: checks.duration,
    connectTimeout: checks.duration,
    library: redisChecks.library,
  } satisfies Record<keyof RedisRunsOptions, OptionCheck>)
  const { prefix = 'unifrost:runs:', lease = 6_000 } = options
  const { timeout = 2_000, connectTimeout = 5_000 } = options
  const server = redisServer('redisRuns', target, options.library)
  return new RedisStore(server, { prefix, lease, timeout, connectTimeout })
}
