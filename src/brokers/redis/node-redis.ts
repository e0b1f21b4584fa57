import type { ConnectAttempt } from '../../driver-kit/index.js'
import type { RedisConnection, RedisServer } from './connection.js'
import { letIn } from './opening.js'
import type { Emitter } from './opening.js'

/** What is used of node-redis, versions 4 to 6. */
export interface NodeRedis extends Emitter {
  readonly options?: { socket?: { host?: string; port?: number; path?: string } }
  readonly isReady: boolean
  duplicate(overrides: object): NodeRedis
  connect(): Promise<unknown>
  sendCommand(args: readonly (string | Buffer)[], options: object): Promise<unknown>
  subscribe(channel: string, listener: (payload: Buffer) => void, buffers: true): Promise<void>
  unsubscribe(channel: string): Promise<void>
  destroy?(): void
  disconnect(): Promise<void>
}

/** A server that a client of the user's knows how to get to. */
export function nodeRedisServer(client: NodeRedis): RedisServer {
  const { socket = {} } = client.options ?? {}
  return {
    where: socket.path ?? `${socket.host ?? 'localhost'}:${socket.port ?? 6379}`,
    load: async () => undefined,
    connect: (attempt) =>
      openNodeRedis(client.duplicate(nodeRedisOptions(attempt, socket)), attempt),
  }
}

/**
 * Turns off reconnecting, heartbeats and subscribing again: the driver does these itself, since the
 * libraries do them in ways that lose messages in silence. Version 2 of the protocol has replies of
 * one form.
 */
export function nodeRedisOptions({ timeout }: ConnectAttempt, socket: object): object {
  return {
    RESP: 2,
    commandOptions: {},
    pingInterval: 0,
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
    clientSideCache: undefined,
    emitInvalidate: false,
    commandsQueueMaxLength: undefined,
    socket: {
      ...socket,
      reconnectStrategy: false,
      connectTimeout: timeout,
      socketTimeout: undefined,
    },
  }
}

/** 36 is the type of bulk strings in node-redis 5 and later; `returnBuffers` is for 4. */
const AS_BYTES = { typeMapping: { 36: Buffer }, returnBuffers: true, timeout: undefined }

export async function openNodeRedis(
  client: NodeRedis,
  { signal }: ConnectAttempt,
): Promise<RedisConnection> {
  let gone = false
  const destroy = () => {
    gone = true
    try {
      if (client.destroy) client.destroy()
      else void client.disconnect().catch(ignoreClosed)
    } catch (error) {
      // Version 5 throws where it is closed already.
      ignoreClosed(error)
    }
  }
  const lost = new Promise<Error>((resolve) => {
    // The library does not reconnect, so after an error the connection is of no use.
    client.on('error', (error: Error) => {
      resolve(error)
      destroy()
    })
    client.on('end', () => resolve(new Error('the connection was closed')))
  })
  // One that was closed while the library was connecting still connects.
  client.on('connect', () => {
    if (gone) destroy()
  })
  const connection: RedisConnection = {
    call: (command) => client.sendCommand(command, AS_BYTES),
    subscribe: (channel, listener) => client.subscribe(channel, listener, true),
    unsubscribe: (channel) => client.unsubscribe(channel),
    lost,
    destroy,
  }
  return letIn(connection, client.connect(), signal)
}

/** The client was to be closed, and is. */
function ignoreClosed(_error: unknown): void {}
