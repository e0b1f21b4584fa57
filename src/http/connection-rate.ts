import { Server } from 'node:net'
import { OptionsError } from '../errors.js'
import { checkOptions, number, refuse } from '../option-checks.js'

/** What `limitConnectionRate` takes. */
export interface ConnectionRate {
  /** The most new connections per second, on average. At least 0.001. */
  perSecond: number
  /**
   * The most that are accepted at once after a quiet time. Default: `perSecond` / 10, at least 1.
   */
  burst?: number
}

/**
 * The value of `maxConnections` while no connection is accepted. Before Node 21, 0 means no limit
 * (https://nodejs.org/api/net.html#servermaxconnections).
 */
const NONE = -1

/** The servers that have a limit. */
const limited = new WeakSet<Server>()

/**
 * Limits how many new connections a server (HTTP, HTTPS or HTTP/2) accepts per second, from all
 * addresses together. Node closes further ones before it reads from them, and emits `drop`; an
 * `EventSource` then reconnects by itself. So a flood of connections takes almost no time from open
 * streams. Call it once per server. While it accepts none, it changes `maxConnections`.
 *
 * @throws OptionsError
 */
export function limitConnectionRate(server: Server, rate: ConnectionRate): void {
  if (!(server instanceof Server)) {
    refuse('limitConnectionRate', 'server', server, 'what listen() returns (a net.Server), no app')
  }
  if (limited.has(server)) {
    throw new OptionsError('limitConnectionRate: this server has a limit. Call it once per server.')
  }
  checkOptions('limitConnectionRate', rate, {
    perSecond: number(0.001, 1e6),
    burst: number(1, 1e6),
  })
  const { perSecond, burst = Math.max(1, perSecond / 10) } = rate
  if (perSecond === undefined) {
    throw new OptionsError('limitConnectionRate needs perSecond: new connections per second.')
  }
  limited.add(server)
  let usual = server.maxConnections
  /** Set while no connection is accepted. */
  let timer: NodeJS.Timeout | undefined
  let left = burst
  let since = performance.now()

  const open = () => {
    if (timer === undefined) return
    clearTimeout(timer)
    timer = undefined
    if (server.maxConnections === NONE) server.maxConnections = usual
  }
  server.on('connection', () => {
    const now = performance.now()
    left = Math.min(burst, left + ((now - since) / 1_000) * perSecond) - 1
    since = now
    if (left >= 1 || timer !== undefined) return
    usual = server.maxConnections
    server.maxConnections = NONE
    timer = setTimeout(open, ((1 - left) / perSecond) * 1_000).unref()
  })
  server.on('close', open)
}
