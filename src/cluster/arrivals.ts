import type { Deferred } from './client-lease.js'
import { deferred } from './client-lease.js'

/** A client on its way to this server: its record is being written, and it is not made yet. */
export class Arrival {
  /** Whether it was removed meanwhile. It is then not made, and its record is deleted. */
  stopped = false
  /** Whether it was stopped after its record was written: another server may have its stream. */
  hasFormer = false
  /** Settles when the client is made, or will not be. */
  readonly over: Deferred<void> = deferred()

  constructor(
    readonly id: string,
    readonly owner: string | undefined,
  ) {}
}

/** The clients on their way to this server. */
export class Arrivals {
  private readonly underWay = new Set<Arrival>()

  /** Runs what brings a client here. */
  async during<T>(arrival: Arrival, work: (arrival: Arrival) => Promise<T>): Promise<T> {
    this.underWay.add(arrival)
    try {
      return await work(arrival)
    } finally {
      this.end(arrival)
    }
  }

  /** The client is made. From now on it is found among those of this server. */
  end(arrival: Arrival): void {
    this.underWay.delete(arrival)
    arrival.over.resolve()
  }

  /** Stops those with this id, and those of this owner. @returns them. */
  stop({ id, owner }: { id?: string; owner?: string }): Arrival[] {
    const stopped = [...this.underWay].filter(
      (arrival) => arrival.id === id || (owner !== undefined && arrival.owner === owner),
    )
    for (const arrival of stopped) arrival.stopped = true
    return stopped
  }

  /** Settles when these have come, or have been stopped. */
  async settled(arrivals: readonly Arrival[]): Promise<void> {
    await Promise.all(arrivals.map(async ({ over }) => over.promise))
  }
}
