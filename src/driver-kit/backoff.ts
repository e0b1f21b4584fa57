/**
 * How long to wait before the next try: doubled with each one up to a cap, and of that, half to all
 * by chance. By default the first wait is 50 to 100 ms, the second 100 to 200 ms, and from the sixth
 * on it is 1 to 2 s.
 */
export class Backoff {
  private tries = 0

  /** @param options Milliseconds. Defaults: 100 and 2,000. */
  constructor(private readonly options: { first?: number; cap?: number } = {}) {}

  /** Milliseconds to wait now; the next answer will be longer. */
  next(): number {
    const { first = 100, cap = 2_000 } = this.options
    const full = Math.min(cap, first * 2 ** this.tries)
    this.tries++
    return Math.round(full / 2 + (Math.random() * full) / 2)
  }

  /** It has worked: start small again. */
  reset(): void {
    this.tries = 0
  }
}
