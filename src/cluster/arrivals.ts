/** A client on its way to this server: its record is being written, and it is not made yet. */
export class Arrival {
  /** Whether it was removed meanwhile. It is then not made, and its record is deleted. */
  stopped = false
  /** The server that had it and has not said yet that it gave it up, if the client was stopped. */
  silent: string | undefined = undefined

  constructor(
    readonly id: string,
    readonly owner: string | undefined,
  ) {}
}

/** The clients on their way to this server. */
export class Arrivals {
  private readonly underWay = new Map<Arrival, Promise<unknown>>()

  /** Runs what brings a client here. */
  async during<T>(arrival: Arrival, work: (arrival: Arrival) => Promise<T>): Promise<T> {
    const done = work(arrival)
    this.underWay.set(arrival, done)
    try {
      return await done
    } finally {
      this.underWay.delete(arrival)
    }
  }

  /** Stops those with this id, and those of this owner. @returns them. */
  stop({ id, owner }: { id?: string; owner?: string }): Arrival[] {
    const stopped = [...this.underWay.keys()].filter(
      (arrival) => arrival.id === id || (owner !== undefined && arrival.owner === owner),
    )
    for (const arrival of stopped) arrival.stopped = true
    return stopped
  }

  /** Settles when these have come, or have been stopped. */
  async settled(arrivals: readonly Arrival[]): Promise<void> {
    await Promise.allSettled(arrivals.map(async (arrival) => this.underWay.get(arrival)))
  }
}
