import { setTimeout as pause } from 'node:timers/promises'
import { Backoff } from '../../driver-kit/backoff.js'
import { patiently } from '../../driver-kit/patiently.js'
import { within } from '../../driver-kit/within.js'
import { connectError, refusesCredentials } from './connection.js'
import type { RedisConnection, RedisServer } from './connection.js'

/** Milliseconds. */
export interface LinkTiming {
  connectTimeout: number
  /** How often a connection is asked whether it still lives. Without it, somebody else sees to it. */
  pingInterval?: number
  pingTimeout: number
}

export interface LinkEvents {
  /** A connection has been made. */
  up?(connection: RedisConnection): void
  /** Redis no longer takes our credentials: there will be no more connections by themselves. */
  over?(error: Error): void
}

/** A connection that lived for as long was a good one: the next one is tried for at once. */
const STABLE = 1_000

/**
 * One connection to Redis at a time. The first is made when it is asked for; when one is lost,
 * the next is tried for without end.
 */
export class RedisLink {
  readonly #closing = new AbortController()
  readonly #backoff = new Backoff()
  #current: RedisConnection | undefined
  #attempt: Promise<RedisConnection> | undefined
  #lastError: unknown
  #heardAt = 0

  constructor(
    readonly server: RedisServer,
    private readonly timing: LinkTiming,
    private readonly events: LinkEvents = {},
  ) {}

  /** The connection, while there is one. */
  get current(): RedisConnection | undefined {
    return this.#current
  }

  /** The connection; it may be made for this. Rejects when there is none in so many milliseconds. */
  async get(timeout: number): Promise<RedisConnection> {
    if (this.#closing.signal.aborted) throw closedError()
    if (this.#current) return this.#current
    this.#attempt ??= this.#attempted(this.#open())
    const attempt = this.#attempt
    const outcome = await within(attempt, timeout)
    if (outcome === 'failed') return attempt
    if (outcome !== 'late') return outcome
    const cause = this.#lastError ?? new Error(`no answer within ${timeout} ms`)
    throw connectError(this.server.where, cause)
  }

  /** Something has come from the server: it lives. */
  heard(): void {
    this.#heardAt = performance.now()
  }

  /** What Redis answers, or the connection is given up when it takes longer than so long. */
  async call(connection: RedisConnection, command: readonly string[], timeout: number) {
    const reply = connection.call(command)
    if ((await patiently(reply, timeout)) === 'late') this.lose(connection)
    return reply
  }

  /** Gives a connection up, to have the next one made. */
  lose(connection: RedisConnection): void {
    if (this.#current === connection) connection.destroy()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#current?.destroy()
    this.#current = undefined
    await this.#attempt?.catch(() => undefined)
  }

  /** Remembers an attempt for as long as it lasts. */
  #attempted(attempt: Promise<RedisConnection>): Promise<RedisConnection> {
    const settled = () => {
      if (this.#attempt === attempt) this.#attempt = undefined
    }
    attempt.then(settled, settled)
    return attempt
  }

  async #open(): Promise<RedisConnection> {
    const { signal } = this.#closing
    let connection: RedisConnection
    try {
      connection = await this.server.open(this.timing.connectTimeout, signal)
    } catch (error) {
      this.#lastError = error
      throw signal.aborted ? closedError() : connectError(this.server.where, error)
    }
    if (signal.aborted) {
      connection.destroy()
      throw closedError()
    }
    this.#current = connection
    this.#lastError = undefined
    void this.#follow(connection)
    if (this.timing.pingInterval !== undefined) void this.#watch(connection)
    this.events.up?.(connection)
    return connection
  }

  async #follow(connection: RedisConnection): Promise<void> {
    const from = performance.now()
    this.#lastError = await connection.lost
    if (this.#current !== connection) return
    this.#current = undefined
    if (performance.now() - from >= STABLE) this.#backoff.reset()
    // Who waits for a connection sees whether it fails; that it does so unseen is no error.
    this.#attempt = this.#attempted(this.#reconnect())
  }

  async #reconnect(): Promise<RedisConnection> {
    const { signal } = this.#closing
    for (;;) {
      try {
        await pause(this.#backoff.next(), undefined, { signal })
        return await this.#open()
      } catch (error) {
        if (signal.aborted) throw closedError()
        if (!refusesCredentials(error)) continue
        this.events.over?.(error as Error)
        throw error
      }
    }
  }

  async #watch(connection: RedisConnection): Promise<void> {
    const { pingInterval, pingTimeout } = this.timing
    const gone = new AbortController()
    void connection.lost.then(() => gone.abort())
    while (this.#current === connection) {
      const due = pause(pingInterval, 'due', { signal: gone.signal })
      if ((await due.catch(() => 'gone')) === 'gone') return
      // Redis may refuse it, which is an answer, or the connection is lost, and we are told.
      const ping = connection.call(['PING'])
      if ((await patiently(ping, pingTimeout, () => this.#heardAt)) === 'late') {
        return this.lose(connection)
      }
    }
  }
}

export function closedError(): Error {
  return new Error('This Redis driver has been closed. Make a new one.')
}
