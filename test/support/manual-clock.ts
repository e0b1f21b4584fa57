import type { Clock } from '../../src/clock.js'

interface Entry {
  due: number
  callback: () => void
}

/** Time that stands still until a test moves it. */
export class ManualClock implements Clock {
  private time = 0
  private readonly entries = new Set<Entry>()

  /** How many timers are armed. */
  get pending(): number {
    return this.entries.size
  }

  now(): number {
    return this.time
  }

  setTimeout(callback: () => void, milliseconds: number): Entry {
    const entry = { due: this.time + milliseconds, callback }
    this.entries.add(entry)
    return entry
  }

  clearTimeout(timer: unknown): void {
    this.entries.delete(timer as Entry)
  }

  /** Moves time on, and runs what becomes due, each at its own time. */
  advance(milliseconds: number): void {
    const until = this.time + milliseconds
    for (;;) {
      let first: Entry | undefined
      for (const entry of this.entries) {
        if (entry.due <= until && (first === undefined || entry.due < first.due)) first = entry
      }
      if (first === undefined) break
      this.entries.delete(first)
      this.time = Math.max(this.time, first.due)
      first.callback()
    }
    this.time = until
  }
}
