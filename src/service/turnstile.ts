/** Lets a limited number of calls run at once. Further ones wait, the first to come first. */
export class Turnstile {
  private running = 0
  private readonly waiting: (() => void)[] = []

  constructor(private readonly most: number) {}

  /** Runs a call in its turn. */
  async run<T>(call: () => T | Promise<T>): Promise<T> {
    if (this.running < this.most) this.running++
    else await new Promise<void>((resolve) => this.waiting.push(resolve))
    try {
      return await call()
    } finally {
      // The next one takes this one's place.
      const next = this.waiting.shift()
      if (next === undefined) this.running--
      else next()
    }
  }
}
