import type { Server } from 'node:net'
import { OptionsError } from '../errors.js'
import { checkShape, number } from '../options.js'

/** What `limitConnectionRate` takes. */
export interface ConnectionRate {
  /** How many new connections are taken in a second, evenly. At least 0.001. */
  perSecond: number
  /** How many are taken at once after a quiet time. Default: a tenth of `perSecond`, at least 1. */
  burst?: number
}

/**
 * What `maxConnections` is while none is taken. Not 0, which is no limit at all before Node 21
 * (https://nodejs.org/api/net.html#servermaxconnections).
 */
const NONE = -1

/**
 * Has a server (HTTP, HTTPS or HTTP/2) take so many new connections in a second, whoever they are
 * from. Node closes those above before it reads anything from them, and emits `drop`; an
 * `EventSource` tries again by itself then. So a flood costs open streams next to no time, which
 * answering it would. Call it once for a server; `maxConnections` is left as it is but for the
 * moments in which none is taken.
 *
 * @throws OptionsError
 */
export function limitConnectionRate(server: Server, rate: ConnectionRate): void {
  checkShape('', rate, { perSecond: number(0.001, 1e6), burst: number(1, 1e6) })
  const { perSecond, burst = Math.max(1, perSecond / 10) } = rate
  if (perSecond === undefined) {
    throw new OptionsError('limitConnectionRate takes how many connections perSecond.')
  }
  let usual = server.maxConnections
  /** Set while none is taken. */
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
