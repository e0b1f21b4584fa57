import type { BrokerOutage, BrokerState } from '../driver.js'
import { reasonOf } from './connect-error.js'

/**
 * Whether a driver reaches its broker: what `Driver.brokerState` is. A `Link` keeps one by itself. Where a
 * library reconnects by itself, or each request stands alone, the driver says what it finds.
 */
export class Reach implements BrokerState {
  onChange: (() => void) | undefined = undefined
  #down: BrokerOutage | undefined

  get down(): BrokerOutage | undefined {
    return this.#down
  }

  /** The broker can't be reached. Only the first call of an outage counts. */
  lost(cause: unknown): void {
    if (this.#down !== undefined) return
    this.#down = { since: Date.now(), reason: reasonOf(cause) }
    this.onChange?.()
  }

  /** The broker has answered. */
  found(): void {
    if (this.#down === undefined) return
    this.#down = undefined
    this.onChange?.()
  }
}
