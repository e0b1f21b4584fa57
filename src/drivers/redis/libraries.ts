import { OptionsError } from '../../errors.js'
import { tryPeer } from '../../driver-kit/peer.js'
import type { RedisConnection, RedisServer } from './connection.js'
import { ioRedisOptions, ioRedisServer, openIoRedis } from './ioredis.js'
import type { IoRedis } from './ioredis.js'
import { nodeRedisOptions, nodeRedisServer, openNodeRedis } from './node-redis.js'
import type { NodeRedis } from './node-redis.js'

/** What tells a client of node-redis: `createClient(…)`, connected or not. */
export interface NodeRedisClient {
  duplicate(): unknown
  sendCommand(args: string[]): Promise<unknown>
  readonly isReady: boolean
}

/** What tells a client of ioredis: `new Redis(…)`, connected or not. */
export interface IoRedisClient {
  duplicate(): unknown
  callBuffer(command: string, ...args: string[]): Promise<unknown>
  readonly status: string
}

type Opening = (url: string, timeout: number, signal: AbortSignal) => Promise<RedisConnection>

/** Which library connects to a URL. */
export type RedisLibrary = 'redis' | 'ioredis'

/** What a Redis driver can be made of. */
export type RedisTarget = string | NodeRedisClient | IoRedisClient

/** Makes sense of what a driver was given. Throws an `OptionsError` for what makes none. */
export function redisServer(
  driver: string,
  target: RedisTarget,
  library: RedisLibrary | undefined,
): RedisServer {
  if (typeof target === 'string') return serverAt(driver, target, library)
  // Taken for what it looks like: which library made it can't be told otherwise.
  const given = (target ?? {}) as unknown as Partial<NodeRedis & IoRedis>
  if (typeof given.duplicate === 'function') {
    if (typeof given.callBuffer === 'function' && !given.isCluster) {
      return ioRedisServer(given as IoRedis)
    }
    if (typeof given.sendCommand === 'function' && 'isReady' in given) {
      return nodeRedisServer(given as NodeRedis)
    }
  }
  throw new OptionsError(
    `${driver} got ${typeof target}, which is no Redis it knows. It takes redis://host:port or ` +
      'rediss://host:port, or a client made by createClient of redis or by new Redis of ioredis ' +
      '(for a cluster or a sentinel of node-redis, a client of one of its nodes).',
  )
}

function serverAt(driver: string, target: string, library?: RedisLibrary): RedisServer {
  const url = URL.canParse(target) ? new URL(target) : undefined
  const known = url?.protocol === 'redis:' || url?.protocol === 'rediss:'
  if (!url?.hostname || !known || !/^(\/\d*)?$/.test(url.pathname)) {
    // What stands before an @ is secret.
    const shown = JSON.stringify(target.replace(/[^/@]*@/, '…@'))
    throw new OptionsError(
      `${driver} got ${shown} as the address of Redis. It takes ` +
        'redis://user:password@host:port/database, or rediss:// for TLS, or a client.',
    )
  }
  return {
    where: `${url.hostname}:${url.port || 6379}`,
    open: async (timeout, signal) => {
      const open = await loadLibrary(driver, library)
      return open(target, timeout, signal)
    },
  }
}

/** The libraries are optional: whichever is there is loaded when a connection is first needed. */
async function loadLibrary(driver: string, library: RedisLibrary | undefined): Promise<Opening> {
  const nodeRedis =
    library === 'ioredis' ? undefined : await tryPeer('redis', () => import('redis'))
  if (nodeRedis !== undefined) {
    return (url, timeout, signal) => {
      const client = nodeRedis.createClient({ url, ...nodeRedisOptions(timeout, {}) })
      return openNodeRedis(client as unknown as NodeRedis, timeout, signal)
    }
  }
  const ioRedis =
    library === 'redis' ? undefined : await tryPeer('ioredis', () => import('ioredis'))
  if (ioRedis !== undefined) {
    return (url, timeout, signal) => {
      const client = new ioRedis.Redis(url, ioRedisOptions(timeout))
      return openIoRedis(client as unknown as IoRedis, timeout, signal)
    }
  }
  throw new Error(
    `${driver} needs a Redis library to connect to a URL. Run \`npm install ` +
      `${library ?? 'redis'}\`, or hand it a client of your own.`,
  )
}
