import type { Removal } from '../service/commands.js'

/** What has come of a removal so far. */
export class Tally {
  private readonly ids = new Set<string>()
  private readonly left = new Set<string>()
  private readonly waiting = new Map<string, number>()

  /** A client was ended. It counts once, also if two servers say so. */
  ended(id: string): void {
    this.ids.add(id)
  }

  get endedIds(): string[] {
    return [...this.ids]
  }

  /** Something is left to do at this place: a server's name, or `directory`. */
  leave(place: string): void {
    this.left.add(place)
  }

  /** Takes in what another tally has. */
  add({ endedIds, pending }: Tally): void {
    for (const id of endedIds) this.ended(id)
    for (const place of pending) this.leave(place)
  }

  /** Waits for a place. While it does, that place is pending. */
  async during<T>(place: string, work: Promise<T>): Promise<T> {
    this.waiting.set(place, (this.waiting.get(place) ?? 0) + 1)
    try {
      return await work
    } finally {
      const count = this.waiting.get(place)! - 1
      if (count > 0) this.waiting.set(place, count)
      else this.waiting.delete(place)
    }
  }

  get pending(): string[] {
    return [...new Set([...this.left, ...this.waiting.keys()])].sort()
  }

  get removal(): Removal {
    return { ended: this.ids.size, pending: this.pending }
  }
}
