import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { setTimeout as pause } from 'node:timers/promises'
import type { OptionTable } from '../option-checks.js'
import { checkOptions, number, refuse } from '../option-checks.js'
import type { Door } from './door.js'
import { sessionsOf } from './sessions.js'

/** A server of `node:http`, `node:https` or `node:http2`, which Express and Koa give too. */
export interface ClosableServer {
  close(callback?: (error?: Error) => void): unknown
  getConnections?(callback: (error: Error | null, count: number) => void): unknown
  closeIdleConnections?(): void
  closeAllConnections?(): void
}

/** Options of `Streamer.shutdown`. */
export interface ShutdownOptions {
  /**
   * Over how long the streams are ended one by one, in milliseconds. Default: 0, all at once.
   */
  over?: number
  /**
   * How long requests other than streams may take after the last goodbye, in milliseconds. Then
   * their connections are cut. Infinity: as long as they like. Default: 5,000.
   */
  timeout?: number
}

const SHUTDOWN_OPTIONS = {
  over: number(0, Number.MAX_SAFE_INTEGER),
  timeout: number(0, Infinity),
} satisfies Record<keyof ShutdownOptions, OptionTable[string]>

/** How often it is looked whether connections are left, in milliseconds. */
const LOOK_EVERY = 25

/**
 * Checks the arguments of `Streamer.shutdown`.
 *
 * @returns the servers.
 * @throws OptionsError
 */
export function checkShutdown(servers: unknown, options: ShutdownOptions): ClosableServer[] {
  const list: unknown[] = Array.isArray(servers) ? servers : [servers]
  for (const server of list) {
    if (typeof (Object(server) as Partial<ClosableServer>).close !== 'function') {
      const takes = "a server of Node's, or a list of them; with Fastify, app.server"
      refuse('shutdown', 'server', server, takes)
    }
  }
  checkOptions('shutdown', options, SHUTDOWN_OPTIONS)
  return list as ClosableServer[]
}

/** Servers that accept no more connections, and get rid of those that they have. */
export class LeavingServers {
  /** Tells whoever still sends a request that this connection takes no further one. */
  private readonly last = (
    { httpVersionMajor }: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
  ): void => {
    if (httpVersionMajor > 1) (response as Http2ServerResponse).stream?.session?.close()
    else if (!response.headersSent) response.setHeader('Connection', 'close')
  }

  constructor(
    private readonly servers: readonly ClosableServer[],
    private readonly door: Door,
  ) {
    for (const server of servers) {
      // It says so to the callback if the server had been closed before.
      server.close(() => undefined)
      server.closeIdleConnections?.()
      if (server instanceof EventEmitter) server.prependListener('request', this.last)
    }
  }

  /**
   * Waits for the requests that are under way, and then cuts what is left.
   *
   * @param until When to cut it, on the clock of `performance.now`.
   */
  async gone(until: number): Promise<void> {
    for (const session of sessionsOf(this.door)) session.close()
    let left = await this.connections()
    while (left > 0 && performance.now() < until) {
      for (const server of this.servers) server.closeIdleConnections?.()
      await pause(LOOK_EVERY)
      left = await this.connections()
    }
    for (const server of this.servers) {
      if (server instanceof EventEmitter) server.off('request', this.last)
      if (left > 0) server.closeAllConnections?.()
    }
    if (left > 0) for (const session of sessionsOf(this.door)) session.destroy()
  }

  private async connections(): Promise<number> {
    const counts = await Promise.all(this.servers.map(connectionsOf))
    return counts.reduce((sum, count) => sum + count, 0)
  }
}

function connectionsOf(server: ClosableServer): Promise<number> {
  return new Promise((resolve) => {
    if (server.getConnections === undefined) resolve(0)
    else server.getConnections((error, count) => resolve(error === null ? count : 0))
  })
}
