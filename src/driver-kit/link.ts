import { Backoff } from './backoff.js'
import { Closings } from './closings.js'
import { connectError } from './connect-error.js'
import { inTime, noAnswer } from './in-time.js'
import type { LinkEvents, LinkOptions, Probe } from './link-options.js'
import { patiently } from './patiently.js'
import { pause } from './pause.js'
import { Reach } from './reach.js'
import { within } from './within.js'

/** A connection that lived for as long was a good one: the next one is tried for soon. */
const STABLE = 1_000

/**
 * One connection to a broker at a time. The first is made when it is asked for; those who ask at the
 * same time share the attempt, and one that failed is forgotten. When the connection is lost, the
 * next is tried for without end, after waits that grow (see {@link LinkOptions.again}).
 */
export class Link<Connection> {
  readonly #options: LinkOptions<Connection>
  readonly #connectTimeout: number
  readonly #closeTimeout: number
  readonly #backoff = new Backoff()
  readonly #events: LinkEvents<Connection>[] = []
  readonly #closings: Closings
  #current: Connection | undefined
  #attempt: Promise<Connection> | undefined
  #isReconnecting = false
  /** What went wrong last. */
  #trouble: unknown
  #heardAt = 0
  /** When the current connection was made. */
  #since = 0
  #watching = new AbortController()

  /** Whether the broker can be reached: the driver's `brokerState`. */
  readonly state = new Reach()

  constructor(options: LinkOptions<Connection>) {
    this.#options = options
    this.#connectTimeout = options.connectTimeout ?? 5_000
    this.#closeTimeout = options.closeTimeout ?? 1_000
    this.#closings = new Closings(options.broker)
  }

  /** The broker's name. */
  get broker(): string {
    return this.#options.broker
  }

  /** Aborted when the link is closed, with an error that says so as its reason. */
  get closing(): AbortSignal {
    return this.#closings.signal
  }

  /** The broker's host and port. */
  get where(): string {
    return this.#options.where
  }

  /** The connection, while there is one. */
  get current(): Connection | undefined {
    return this.#current
  }

  /** Has these called from now on. They must not throw. */
  on(events: LinkEvents<Connection>): void {
    this.#events.push(events)
  }

  /**
   * The connection, which is made where there is none.
   *
   * @param timeout How long to wait for it, in milliseconds. Default: as long as an attempt takes.
   * @throws Error that says what went wrong and what to do.
   */
  async get(timeout?: number): Promise<Connection> {
    this.#closings.check()
    if (this.#current !== undefined) return this.#current
    this.#attempt ??= this.#shared(this.#open())
    const bound = timeout ?? (this.#isReconnecting ? this.#connectTimeout : Infinity)
    const late = () => this.#explain(this.#trouble ?? noAnswer(bound))
    return inTime(this.#attempt, bound, late, this.#closings.signal)
  }

  /** Something has come from the broker: it lives. A probe that is under way waits on. */
  heard(): void {
    this.#heardAt = performance.now()
    if (this.#current !== undefined) this.state.found()
  }

  /**
   * The broker can't be reached, although the connection is kept: the library makes it anew by
   * itself, or each request stands alone. `heard` takes it back.
   */
  silent(reason: unknown): void {
    if (!this.closing.aborted) this.state.lost(reason)
  }

  /** Gives a connection up, so that the next one is made. Only the current one counts. */
  lose(connection: Connection, reason: unknown): void {
    if (this.#current !== connection) return
    this.#end(connection)
    this.#gone(reason)
  }

  /** Ends the connection; no other is made. Those who wait for one get an error that says so. */
  close(): Promise<void> {
    // An attempt that is under way hears of it first, and adds the end of its connection.
    return this.#closings.close(async () => {
      this.#watching.abort()
      const connection = this.#current
      this.#current = undefined
      if (connection !== undefined) this.#end(connection)
    })
  }

  /** Remembers an attempt for as long as it lasts. Whether it fails is seen by whoever waits for it. */
  #shared(attempt: Promise<Connection>): Promise<Connection> {
    const settled = () => {
      if (this.#attempt === attempt) this.#attempt = undefined
    }
    attempt.then(settled, settled)
    return attempt
  }

  async #open(): Promise<Connection> {
    const { signal } = this.#closings
    const giveUp = new AbortController()
    let making: Promise<Connection> | undefined
    try {
      await this.#prepare()
      const timeout = this.#connectTimeout
      const attempt = { timeout, signal: giveUp.signal }
      making = (async () => this.#options.connect(attempt))()
      const connection = await inTime(making, timeout, undefined, signal)
      signal.throwIfAborted()
      this.#use(connection)
      return connection
    } catch (error) {
      giveUp.abort(error)
      if (making !== undefined) this.#discard(making)
      signal.throwIfAborted()
      this.#trouble = error
      throw making === undefined ? error : this.#explain(error)
    }
  }

  /** Ends a connection that nobody waits for any more, if there comes to be one. */
  #discard(making: Promise<Connection>): void {
    const ended = making.then((connection) => this.#end(connection))
    void this.#closings.add(within(ended, this.#closeTimeout))
  }

  async #prepare(): Promise<void> {
    await this.#options.prepare?.()
    this.#closings.check()
  }

  #use(connection: Connection): void {
    this.#current = connection
    this.#trouble = undefined
    this.#isReconnecting = false
    this.#since = this.#heardAt = performance.now()
    this.#watching = new AbortController()
    const gone = (reason: unknown) => {
      if (this.#current === connection) this.#gone(reason)
    }
    this.#options.lost?.(connection).then(gone, gone)
    if (this.#options.probe !== undefined) void this.#watch(connection, this.#options.probe)
    if (this.#options.asks !== false) this.state.found()
    for (const { up } of this.#events) up?.(connection)
  }

  #gone(reason: unknown): void {
    this.#watching.abort()
    this.#current = undefined
    this.#trouble = reason
    if (performance.now() - this.#since >= STABLE) this.#backoff.reset()
    if (this.#options.again !== undefined) this.#attempt = this.#shared(this.#reconnect())
    this.state.lost(reason)
    for (const { lost } of this.#events) lost?.(reason)
  }

  async #reconnect(): Promise<Connection> {
    const { signal } = this.#closings
    this.#isReconnecting = true
    for (;;) {
      await pause(this.#backoff.next(), signal)
      signal.throwIfAborted()
      try {
        return await this.#open()
      } catch (error) {
        signal.throwIfAborted()
        if (this.#options.again?.(this.#trouble)) continue
        this.#isReconnecting = false
        for (const { over } of this.#events) over?.(error as Error)
        throw error
      }
    }
  }

  async #watch(connection: Connection, { interval, timeout, ask }: Probe<Connection>) {
    const { signal } = this.#watching
    for (;;) {
      await pause(interval, signal)
      if (signal.aborted) return
      const asking = (async () => ask(connection))()
      const answer = inTime(asking, Infinity, undefined, signal)
      const outcome = await patiently(answer, timeout, () => this.#heardAt)
      if (outcome === 'late') return this.lose(connection, noAnswer(timeout))
    }
  }

  #explain(cause: unknown): Error {
    const { broker, where, hints, explain } = this.#options
    return explain ? explain(cause) : connectError(broker, where, cause, hints)
  }

  #end(connection: Connection): void {
    const ending = (async () => this.#options.end(connection))()
    void this.#closings.add(within(ending, this.#closeTimeout))
  }
}
