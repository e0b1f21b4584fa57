/** Runs a limited number of tasks at once. The others wait, and begin in the order they came. */
export class AtOnce {
  private readonly waiting: (() => void)[] = []

  /** @param free How many may run at once. */
  constructor(private free: number) {}

  /** Does the work when there is room for it, and gives what it gives. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.free === 0) await new Promise<void>((resolve) => this.waiting.push(resolve))
    else this.free--
    try {
      return await work()
    } finally {
      const next = this.waiting.shift()
      if (next) next()
      else this.free++
    }
  }
}
