/** What a {@link Timings} tells, in seconds. */
export interface DeliveryTimes {
  /** From the arrival of a tick's first message until it was written to the last live client. */
  delivered(seconds: number): void
  /** From the opening of a stream that named a position until its client had all that it missed. */
  caughtUp(seconds: number): void
}

/**
 * Measures how long deliveries take, for those who want to know. It is asked once for each tick and
 * each stream, never for each client of a message, and reads no clock while nobody listens.
 */
export class Timings {
  private listeners: readonly DeliveryTimes[] = []
  private since: number | undefined
  private opened = new WeakMap<object, number>()

  /** @returns ends it. */
  listen(listener: DeliveryTimes): () => void {
    this.listeners = [...this.listeners, listener]
    return () => (this.listeners = this.listeners.filter((one) => one !== listener))
  }

  /** The first message of a tick has arrived. */
  begin(): void {
    if (this.listeners.length > 0) this.since = performance.now()
  }

  /** What has arrived in a tick is written. */
  end(): void {
    if (this.since === undefined) return
    const seconds = (performance.now() - this.since) / 1000
    this.since = undefined
    for (const listener of this.listeners) listener.delivered(seconds)
  }

  /** A connection has named a position, and is sent what it missed. */
  open(connection: object): void {
    if (this.listeners.length > 0) this.opened.set(connection, performance.now())
  }

  /** A connection's client has everything. Only the first time counts. */
  arrive(connection: object): void {
    if (this.listeners.length === 0) return
    const opened = this.opened.get(connection)
    if (opened === undefined) return
    this.opened.delete(connection)
    const seconds = (performance.now() - opened) / 1000
    for (const listener of this.listeners) listener.caughtUp(seconds)
  }
}
