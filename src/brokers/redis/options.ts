import { checks } from '../../driver-kit/index.js'
import type { OptionCheck } from '../../driver-kit/index.js'
import type { RedisLibrary } from './libraries.js'

/** What both Redis drivers take. Durations are in milliseconds. */
export interface RedisOptions {
  /** How payloads travel: see `Driver.encoding`. Default: `utf8`. */
  encoding?: 'utf8' | 'base64'
  /** How long opening a topic may take, a reconnect included. Default: 5,000. */
  subscribeTimeout?: number
  /** How long one attempt to connect may take. Default: 5,000. */
  connectTimeout?: number
  /** How often the server has to show that it lives. Default: 1,000. */
  pingInterval?: number
  /** How long that may take before the connection is given up. Default: 2,000. */
  pingTimeout?: number
  /** The library that connects to a URL. Default: `redis`, or `ioredis` where that is not there. */
  library?: RedisLibrary
}

/** The options' checks, to be spread into a driver's table. */
export const redisChecks: Record<keyof RedisOptions, OptionCheck> = {
  encoding: checks.encoding,
  subscribeTimeout: checks.duration,
  connectTimeout: checks.duration,
  pingInterval: checks.duration,
  pingTimeout: checks.duration,
  library: [(value) => value === 'redis' || value === 'ioredis', "'redis' or 'ioredis'"],
}

export type RedisTiming = Record<
  'subscribeTimeout' | 'connectTimeout' | 'pingInterval' | 'pingTimeout',
  number
>

/** The durations, with the defaults for those that were not given. */
export function redisTiming(options: RedisOptions): RedisTiming {
  const { subscribeTimeout = 5_000, connectTimeout = 5_000 } = options
  const { pingInterval = 1_000, pingTimeout = 2_000 } = options
  return { subscribeTimeout, connectTimeout, pingInterval, pingTimeout }
}
