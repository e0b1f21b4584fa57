import { UnifrostError } from '../index.js'

/** An idempotency key was used before, for another request. */
export class IdempotencyError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_IDEMPOTENCY'
  readonly status = 422
  constructor() {
    super('This idempotency key was used for another body. Use a new key for a new request.')
  }
}

interface Remembered {
  readonly print: string
  readonly until: number
  readonly result: Promise<unknown>
}

/** The most keys that are remembered. */
const MOST = 100_000

/** Answers a request that comes again as the first time, and does nothing. */
export class Idempotency {
  private readonly known = new Map<string, Remembered>()

  constructor(private readonly now: () => number = () => performance.now()) {}

  /**
   * @param print What tells one request from another of the same key.
   * @returns what `run` gave, now or earlier, and whether it was earlier.
   * @throws IdempotencyError
   */
  async once<T>(
    key: string,
    print: string,
    keep: number,
    run: () => Promise<T>,
  ): Promise<{ result: T; again: boolean }> {
    this.forget()
    const earlier = this.known.get(key)
    if (earlier !== undefined) {
      if (earlier.print !== print) throw new IdempotencyError()
      return { result: (await earlier.result) as T, again: true }
    }
    const result = run()
    this.known.set(key, { print, until: this.now() + keep, result })
    try {
      return { result: await result, again: false }
    } catch (error) {
      // It has not been done, so that it may be tried again.
      this.known.delete(key)
      throw error
    }
  }

  /** They stand in the order in which they end, as long as all are kept for one time. */
  private forget(): void {
    for (const [key, { until }] of this.known) {
      if (until > this.now() && this.known.size < MOST) return
      this.known.delete(key)
    }
  }
}
