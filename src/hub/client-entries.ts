import type { Entry, Revision, Stored } from '../directory.js'

/** An entry of the directory, with when it expires. */
interface Kept extends Entry {
  readonly revision: Revision
  readonly until: number
}

/** How often expired entries are looked for, in milliseconds. */
const SWEEP_EVERY = 5_000

/** The entries of the hub's directory, in memory. See `Directory` for what each method promises. */
export class ClientEntries {
  readonly #entries = new Map<string, Kept>()
  readonly #byOwner = new Map<string, Set<string>>()
  readonly #sweeping: NodeJS.Timeout
  #revision = 0

  /** @param memory Names this store. Revisions of another one are never its own. */
  constructor(readonly memory: string) {
    this.#sweeping = setInterval(() => this.#sweep(), SWEEP_EVERY)
    this.#sweeping.unref()
  }

  get size(): number {
    return this.#entries.size
  }

  get(id: string): Stored | undefined {
    const kept = this.#live(id)
    return kept && { text: kept.text, revision: kept.revision }
  }

  put(entry: Entry, revision: Revision | undefined, ttl: number): Revision | undefined {
    const kept = this.#live(entry.id)
    if (kept?.revision !== revision) return undefined
    if (kept !== undefined) this.#forget(kept)
    const next = `${this.memory}.${++this.#revision}`
    const { id, owner, text } = entry
    this.#entries.set(id, { id, owner, text, revision: next, until: performance.now() + ttl })
    if (owner !== undefined) {
      let ids = this.#byOwner.get(owner)
      if (ids === undefined) this.#byOwner.set(owner, (ids = new Set()))
      ids.add(id)
    }
    return next
  }

  delete(id: string, revision: Revision): boolean {
    const kept = this.#live(id)
    if (kept === undefined) return true
    if (kept.revision !== revision) return false
    this.#forget(kept)
    return true
  }

  idsOf(owner: string): string[] {
    return [...(this.#byOwner.get(owner) ?? [])].filter((id) => this.#live(id) !== undefined)
  }

  close(): void {
    clearInterval(this.#sweeping)
  }

  #live(id: string): Kept | undefined {
    const kept = this.#entries.get(id)
    if (kept === undefined || kept.until > performance.now()) return kept
    this.#forget(kept)
    return undefined
  }

  #forget({ id, owner }: Kept): void {
    this.#entries.delete(id)
    const ids = owner === undefined ? undefined : this.#byOwner.get(owner)
    if (ids === undefined || owner === undefined) return
    ids.delete(id)
    if (ids.size === 0) this.#byOwner.delete(owner)
  }

  #sweep(): void {
    const now = performance.now()
    for (const kept of this.#entries.values()) if (kept.until <= now) this.#forget(kept)
  }
}
