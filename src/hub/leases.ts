import type { Peer } from './peer.js'
import type { ProcessName } from './process-of.js'
import { isDead } from './process-of.js'

/** A server of the directory. */
interface Server {
  readonly lease: number
  readonly process: ProcessName
  /** Its connection. Undefined once that is lost, while the lease lasts. */
  peer: Peer | undefined
  until: number
}

/** How often the time is taken in which this process listened, in milliseconds. */
const TICK = 100

/**
 * Which servers have a lease. Their time is that in which the hub listened: a hub that was stopped for
 * a minute has heard of nobody in it, and takes nobody for dead because of that.
 */
export class Leases {
  readonly #servers = new Map<string, Server>()
  readonly #ticking: NodeJS.Timeout
  #listened = 0
  #tickedAt = performance.now()

  constructor() {
    this.#ticking = setInterval(() => this.#tick(), TICK)
    this.#ticking.unref()
  }

  enter(name: string, lease: number, process: ProcessName, peer: Peer): void {
    this.#servers.set(name, { lease, process, peer, until: this.#now() + lease })
  }

  /** @returns whether it still had one. */
  renew(name: string, peer: Peer): boolean {
    const server = this.#servers.get(name)
    if (server?.peer !== peer || !this.#has(server)) return false
    server.until = this.#now() + server.lease
    return true
  }

  /** Its connection is lost. It counts as alive until its lease is over, or its process is dead. */
  lost(name: string, peer: Peer): void {
    const server = this.#servers.get(name)
    if (server?.peer === peer) server.peer = undefined
  }

  /** It gives its lease back. */
  leave(name: string): void {
    this.#servers.delete(name)
  }

  names(): string[] {
    for (const [name, server] of this.#servers) if (!this.#has(server)) this.#servers.delete(name)
    return [...this.#servers.keys()]
  }

  /** @returns whether a server of this name has a lease. One whose connection is lost gets nothing. */
  send(name: string, packet: string): boolean {
    const server = this.#servers.get(name)
    if (server === undefined || !this.#has(server)) return false
    server.peer?.tell('packet', { packet })
    return true
  }

  close(): void {
    clearInterval(this.#ticking)
  }

  #has({ until, peer, process }: Server): boolean {
    return until > this.#now() && (peer !== undefined || !isDead(process))
  }

  #now(): number {
    this.#tick()
    return this.#listened
  }

  #tick(): void {
    const now = performance.now()
    // Longer than that and this process did not run.
    this.#listened += Math.min(now - this.#tickedAt, 2 * TICK)
    this.#tickedAt = now
  }
}
