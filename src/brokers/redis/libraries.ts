import { shownAddress, whenAbsent } from '../../driver-kit/index.js'
import type { ConnectAttempt } from '../../driver-kit/index.js'
import { OptionsError } from '../../errors.js'
import type { RedisConnection, RedisServer } from './connection.js'
import { ioRedisOptions, ioRedisServer, openIoRedis } from './ioredis.js'
import type { IoRedis } from './ioredis.js'
import { nodeRedisOptions, nodeRedisServer, openNodeRedis } from './node-redis.js'
import type { NodeRedis } from './node-redis.js'

/** A client of node-redis: `createClient(…)`, connected or not. */
export interface NodeRedisClient {
  duplicate(): unknown
  sendCommand(args: string[]): Promise<unknown>
  readonly isReady: boolean
}

/** A client of ioredis: `new Redis(…)`, connected or not. */
export interface IoRedisClient {
  duplicate(): unknown
  callBuffer(command: string, ...args: string[]): Promise<unknown>
  readonly status: string
}

type Connect = (url: string, attempt: ConnectAttempt) => Promise<RedisConnection>

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
  // A client is known by its methods: both libraries may be there in several versions.
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
  const isRedis = url?.protocol === 'redis:' || url?.protocol === 'rediss:'
  if (!url?.hostname || !isRedis || !/^(\/\d*)?$/.test(url.pathname) || !isDecodable(url)) {
    throw new OptionsError(
      `${driver} got ${shownAddress(target)} as the address of Redis. It takes ` +
        'redis://user:password@host:port/database, or rediss:// for TLS, or a client. In user and ' +
        'password, write % as %25, and @ as %40.',
    )
  }
  return {
    where: `${url.hostname}:${url.port || 6379}`,
    load: () => loadLibrary(driver, library),
    async connect(attempt) {
      const connect = await loadLibrary(driver, library)
      return connect(target, attempt)
    },
  }
}

/** Whether user and password can be decoded; a lone % can't. */
function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password)
    return true
  } catch {
    return false
  }
}

/** Loads the library that was asked for, or else the first one that is installed. */
async function loadLibrary(driver: string, library: RedisLibrary | undefined): Promise<Connect> {
  const nodeRedis = library === 'ioredis' ? undefined : await importNodeRedis()
  if (nodeRedis !== undefined) {
    return (url, attempt) => {
      const client = nodeRedis.createClient({ url, ...nodeRedisOptions(attempt, {}) })
      return openNodeRedis(client as unknown as NodeRedis, attempt)
    }
  }
  const ioRedis = library === 'redis' ? undefined : await importIoRedis()
  if (ioRedis !== undefined) {
    return (url, attempt) => {
      const client = new ioRedis.Redis(url, ioRedisOptions(attempt))
      return openIoRedis(client as unknown as IoRedis, attempt)
    }
  }
  throw new Error(
    `${driver} needs a Redis library to connect to a URL. Run \`npm install ` +
      `${library ?? 'redis'}\`, or hand it a client of your own.`,
  )
}

async function importNodeRedis() {
  try {
    return await import('redis')
  } catch (error) {
    return whenAbsent('redis', error)
  }
}

async function importIoRedis() {
  try {
    return await import('ioredis')
  } catch (error) {
    return whenAbsent('ioredis', error)
  }
}
