import type { ConnectAttempt } from '../../driver-kit/index.js'
import type { RedisConnection, RedisServer } from './connection.js'
import { letIn } from './opening.js'
import type { Emitter } from './opening.js'

/** What is used of ioredis, versions 5 and 6. */
export interface IoRedis extends Emitter {
  readonly options: IoRedisOptions
  readonly isCluster?: boolean
  duplicate(overrides: object): IoRedis
  connect(): Promise<void>
  callBuffer(command: string, ...args: (string | Buffer)[]): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  disconnect(): void
}

interface IoRedisOptions {
  host?: string
  port?: number
  path?: string
  sentinels?: { host?: string; port?: number }[] | null
}

/** A server that a client of the user's knows how to get to. */
export function ioRedisServer(client: IoRedis): RedisServer {
  return {
    where: whereIoRedis(client.options),
    load: async () => undefined,
    connect: (attempt) => openIoRedis(client.duplicate(ioRedisOptions(attempt)), attempt),
  }
}

/** Turns off what the driver does itself, as for node-redis. */
export function ioRedisOptions({ timeout }: ConnectAttempt): object {
  return {
    lazyConnect: true,
    connectTimeout: timeout,
    // How long to wait for the server to close its end. A frozen one never does.
    disconnectTimeout: 1,
    protocol: 2,
    replyMapping: 'legacy',
    stringNumbers: false,
    retryStrategy: null,
    sentinelRetryStrategy: null,
    reconnectOnError: null,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    enableAutoPipelining: false,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    failoverDetector: false,
    maxRetriesPerRequest: null,
    // What `address` gives is the name in Redis, without a prefix.
    keyPrefix: '',
    commandTimeout: undefined,
    socketTimeout: undefined,
    blockingTimeout: undefined,
  }
}

function whereIoRedis({ host, port, path, sentinels }: IoRedisOptions): string {
  if (path) return path
  const nodes = sentinels?.length ? sentinels : [{ host, port }]
  return nodes.map((node) => `${node.host ?? 'localhost'}:${node.port ?? 6379}`).join(', ')
}

export async function openIoRedis(
  client: IoRedis,
  { signal }: ConnectAttempt,
): Promise<RedisConnection> {
  const listeners = new Map<string, (payload: Buffer) => void>()
  const destroy = () => client.disconnect()
  const lost = new Promise<Error>((resolve) => {
    client.on('error', (error: Error) => {
      resolve(error)
      destroy()
    })
    client.on('end', () => resolve(new Error('the connection was closed')))
  })
  client.on('messageBuffer', (channel: Buffer, payload: Buffer) => {
    listeners.get(channel.toString())?.(payload)
  })
  const connection: RedisConnection = {
    call: ([command = '', ...args]) => client.callBuffer(String(command), ...args),
    async subscribe(channel, listener) {
      listeners.set(channel, listener)
      await client.subscribe(channel)
    },
    async unsubscribe(channel) {
      listeners.delete(channel)
      await client.unsubscribe(channel)
    },
    lost,
    destroy,
  }
  return letIn(connection, client.connect(), signal)
}
