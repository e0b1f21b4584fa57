/**
 * The ids of the latest messages, for a broker that may deliver a message again.
 *
 * It remembers at least the last `window` ids, and at most twice as many: forgetting half of them at
 * once costs next to nothing for each message.
 */
export class SeenIds {
  private recent = new Set<string>()
  private older = new Set<string>()

  constructor(private readonly window: number) {}

  /** Remembers the id, and gives whether it is new. */
  add(id: string): boolean {
    if (this.recent.has(id) || this.older.has(id)) return false
    this.recent.add(id)
    if (this.recent.size >= this.window) {
      this.older = this.recent
      this.recent = new Set()
    }
    return true
  }

  /** Forgets all of them, for a broker that counts anew. */
  clear(): void {
    this.recent.clear()
    this.older.clear()
  }
}
