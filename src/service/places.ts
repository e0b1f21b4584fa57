/** How many places each key has taken. */
class Tally {
  private readonly counts = new Map<string, number>()

  of(key: string | undefined): number {
    return key === undefined ? 0 : (this.counts.get(key) ?? 0)
  }

  add(key: string | undefined, change: 1 | -1): void {
    if (key === undefined) return
    const count = this.of(key) + change
    if (count > 0) this.counts.set(key, count)
    else this.counts.delete(key)
  }
}

/**
 * Counts what each owner, each address and all together have taken of something limited.
 *
 * A place is taken in the turn in which the limit is looked at, before anything is awaited, and is
 * given back once. An example: of 50 requests that arrive in one packet, with a limit of two, the
 * third finds two places taken, although no stream is open yet.
 */
export class Places {
  total = 0
  private readonly owners = new Tally()
  private readonly addresses = new Tally()

  ofOwner(owner: string | undefined): number {
    return this.owners.of(owner)
  }

  ofAddress(address: string | undefined): number {
    return this.addresses.of(address)
  }

  /** Takes a place, without a look at any limit. */
  take(owner: string | undefined, address: string | undefined): Place {
    this.add(owner, address, 1)
    return new Place(owner, address, this)
  }

  /** For a place that is left. */
  add(owner: string | undefined, address: string | undefined, change: 1 | -1): void {
    this.total += change
    this.owners.add(owner, change)
    this.addresses.add(address, change)
  }
}

/** One place that is taken. */
export class Place {
  private taken = true

  constructor(
    readonly owner: string | undefined,
    readonly address: string | undefined,
    private readonly places: Places,
  ) {}

  /** Whether it has not been given back. */
  get isTaken(): boolean {
    return this.taken
  }

  /** Gives it back. A second call does nothing. */
  leave(): void {
    if (!this.taken) return
    this.taken = false
    this.places.add(this.owner, this.address, -1)
  }
}
