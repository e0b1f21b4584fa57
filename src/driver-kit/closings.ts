import { setMaxListeners } from 'node:events'
import { within } from './within.js'

/** What a caller gets from a driver after `close`. */
export function closedError(broker: string): Error {
  return new Error(`This ${broker} driver has been closed. Make a new one.`)
}

/**
 * How a driver is closed: once, with one error for every later caller, and not before everything
 * that is under way has ended.
 */
export class Closings {
  readonly #aborting = new AbortController()
  readonly #underWay = new Set<Promise<unknown>>()
  #closed: Promise<void> | undefined

  /** @param broker The broker's name, as people write it. */
  constructor(private readonly broker: string) {
    // Each subscribe that is under way listens, and there may be thousands at once.
    setMaxListeners(0, this.signal)
  }

  /** Aborted when `close` begins. Its reason is {@link closedError}. */
  get signal(): AbortSignal {
    return this.#aborting.signal
  }

  /** @throws Error that says so, once `close` has begun. */
  check(): void {
    this.signal.throwIfAborted()
  }

  /** Has `close` wait for `work`, whether that goes well or not. */
  add<T>(work: Promise<T>): Promise<T> {
    const done = () => this.#underWay.delete(work)
    this.#underWay.add(work)
    work.then(done, done)
    return work
  }

  /**
   * Settles when nothing is under way, or after `milliseconds`. Never rejects. What was added must
   * not wait for it: it would wait for itself.
   *
   * @param milliseconds Default: no bound.
   */
  async idle(milliseconds = Infinity): Promise<void> {
    const idle = this.#idle()
    await (milliseconds === Infinity ? idle : within(idle, milliseconds))
  }

  /**
   * The first call does the work and waits for what is under way. Every other call gives the
   * promise of the first.
   */
  close(work: () => Promise<unknown>): Promise<void> {
    this.#closed ??= this.#close(work)
    return this.#closed
  }

  async #close(work: () => Promise<unknown>): Promise<void> {
    this.#aborting.abort(closedError(this.broker))
    await work()
    await this.idle()
  }

  async #idle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
  }
}
