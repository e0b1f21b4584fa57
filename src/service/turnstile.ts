import type { Timers } from '../clock.js'

/** After how long a call that has not settled gives its place to one that waits, in milliseconds. */
const LONGEST_CALL = 30_000

/** A call that runs. */
interface Turn {
  readonly since: number
}

/**
 * Lets a limited number of calls run at once. Further ones wait; the first to wait is the first to
 * run. A call that never settles does not keep its place for good.
 */
export class Turnstile {
  /** In the order in which they began. */
  private readonly running = new Set<Turn>()
  private readonly waiting: ((turn: Turn) => void)[] = []
  private isWatching = false

  constructor(
    private readonly most: number,
    private readonly timers: Timers,
  ) {}

  /** Runs a call in its turn. */
  async run<T>(call: () => T | Promise<T>): Promise<T> {
    const turn = this.running.size < this.most ? this.enter() : await this.wait()
    try {
      return await call()
    } finally {
      this.leave(turn)
    }
  }

  private enter(): Turn {
    const turn = { since: this.timers.clock.now() }
    this.running.add(turn)
    return turn
  }

  private async wait(): Promise<Turn> {
    const turn = new Promise<Turn>((resolve) => this.waiting.push(resolve))
    this.watch()
    return turn
  }

  private leave(turn: Turn): void {
    // It may have given its place away already.
    if (this.running.delete(turn)) this.waiting.shift()?.(this.enter())
  }

  /** While calls wait: lets the oldest give its place away when it has had it for too long. */
  private watch(): void {
    const [oldest] = this.running
    if (this.isWatching || this.waiting.length === 0 || oldest === undefined) return
    this.isWatching = true
    const due = oldest.since + LONGEST_CALL - this.timers.clock.now()
    this.timers.after(Math.max(due, 0), () => {
      this.isWatching = false
      const now = this.timers.clock.now()
      for (const turn of this.running) {
        if (this.waiting.length === 0 || turn.since + LONGEST_CALL > now) break
        this.leave(turn)
      }
      this.watch()
    })
  }
}
