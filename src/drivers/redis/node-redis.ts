import type { RedisConnection, RedisServer } from './connection.js'
import { connected } from './opening.js'
import type { Emitter } from './opening.js'

/** What is used of node-redis, versions 4 to 6. */
export interface NodeRedis extends Emitter {
  readonly options?: { socket?: { host?: string; port?: number; path?: string } }
  readonly isReady: boolean
  duplicate(overrides: object): NodeRedis
  connect(): Promise<unknown>
  sendCommand(args: readonly string[], options: object): Promise<unknown>
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
    open: (timeout, signal) =>
      openNodeRedis(client.duplicate(nodeRedisOptions(timeout, socket)), timeout, signal),
  }
}

/**
 * Reconnecting, heartbeats and subscribing again are the driver's, since the libraries do them
 * in ways that lose messages in silence. Replies have one form in version 2 of the protocol.
 */
export function nodeRedisOptions(timeout: number, socket: object): object {
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
  timeout: number,
  signal: AbortSignal,
): Promise<RedisConnection> {
  let gone = false
  const destroy = () => {
    gone = true
    try {
      if (client.destroy) client.destroy()
      else void client.disconnect().catch(ignoreClosed)
    } catch (error) {
      // Version 5 throws when it is closed already, which is what was wanted.
      ignoreClosed(error)
    }
  }
  const lost = new Promise<Error>((resolve) => {
    // Without reconnecting, an error is always the last one; what is left of it goes with it.
    client.on('error', (error: Error) => {
      resolve(error)
      destroy()
    })
    client.on('end', () => resolve(new Error('the connection was closed')))
  })
  // A connection that is closed while it is being made comes up all the same.
  client.on('connect', () => {
    if (gone) destroy()
  })
  await connected(client.connect(), lost, timeout, signal, destroy)
  return {
    call: (command) => client.sendCommand(command, AS_BYTES),
    subscribe: (channel, listener) => client.subscribe(channel, listener, true),
    unsubscribe: (channel) => client.unsubscribe(channel),
    lost,
    destroy,
  }
}

/** It was to be closed and is: there is nothing to add. */
function ignoreClosed(_error: unknown): void {}
