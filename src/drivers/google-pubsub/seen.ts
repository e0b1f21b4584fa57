/**
 * The ids of the messages that came lately, so that one that Pub/Sub delivers again is known.
 *
 * It remembers at least the last `window` of them, and at most twice as many: forgetting half at
 * once costs next to nothing for each message.
 */
export class SeenIds {
  private recent = new Set<string>()
  private older = new Set<string>()

  constructor(private readonly window: number) {}

  /** Whether the id is new. From now on it is not. */
  add(id: string): boolean {
    if (this.recent.has(id) || this.older.has(id)) return false
    this.recent.add(id)
    if (this.recent.size >= this.window) {
      this.older = this.recent
      this.recent = new Set()
    }
    return true
  }

  clear(): void {
    this.recent.clear()
    this.older.clear()
  }
}
