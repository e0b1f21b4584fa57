import type { Timers } from '../clock.js'

/**
 * Has all runs of a process written at one moment, so that a log takes them as one command. An
 * example: 200 runs with a part each in 20 milliseconds are one command, not 200.
 */
export class Ticker {
  private readonly waiting = new Set<() => void>()

  /** @param delay How long parts are gathered, in milliseconds. 0: until the tick's end. */
  constructor(
    private readonly timers: Timers,
    private readonly delay: number,
  ) {}

  /** Has `write` called once, soon. It must not throw. */
  add(write: () => void): void {
    if (this.waiting.size === 0) {
      if (this.delay === 0) setImmediate(() => this.tick())
      else this.timers.after(this.delay, () => this.tick())
    }
    this.waiting.add(write)
  }

  private tick(): void {
    const due = [...this.waiting]
    this.waiting.clear()
    for (const write of due) write()
  }
}
