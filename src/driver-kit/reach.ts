import type { BrokerOutage, BrokerState } from '../driver.js'
import { reasonOf } from './connect-error.js'
import { pause } from './pause.js'

/** How often a broker that is away is asked, beside what else the driver tries, in milliseconds. */
const ASK_EVERY = 10_000

/**
 * Whether a driver reaches its broker: what `Driver.brokerState` is. A `Link` keeps one by itself. Where a
 * library reconnects by itself, or each request stands alone, the driver says what it finds.
 */
export class Reach implements BrokerState {
  onChange: (() => void) | undefined = undefined
  #down: BrokerOutage | undefined
  #ask: (() => Promise<unknown>) | undefined
  #closing: AbortSignal | undefined

  get down(): BrokerOutage | undefined {
    return this.#down
  }

  /** The broker can't be reached. Only the first call of an outage counts. */
  lost(cause: unknown): void {
    if (this.#down !== undefined) return
    this.#down = { since: Date.now(), reason: reasonOf(cause) }
    this.onChange?.()
    void this.#keepAsking(this.#down)
  }

  /**
   * Has a broker that is away be asked every ten seconds, so that a server that is reported as down
   * comes back also where its driver has nothing to read, or has given up.
   *
   * @param ask Resolves when the broker answers. `driverShell` gives the driver's `connect`.
   * @param closing Aborted when the driver is closed.
   */
  askWith(ask: () => Promise<unknown>, closing: AbortSignal): void {
    this.#ask = ask
    this.#closing = closing
  }

  /** The broker has answered. */
  found(): void {
    if (this.#down === undefined) return
    this.#down = undefined
    this.onChange?.()
  }

  async #keepAsking(outage: BrokerOutage): Promise<void> {
    const isOver = () => this.#closing?.aborted === true || this.#down !== outage
    while (this.#ask !== undefined && !isOver()) {
      await pause(ASK_EVERY, this.#closing, { ref: false })
      if (isOver()) return
      const answers = await this.#ask().then(
        () => true,
        () => false,
      )
      if (answers && !isOver()) this.found()
    }
  }
}
