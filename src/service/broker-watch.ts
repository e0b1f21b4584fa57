import type { BrokerOutage, BrokerState, Driver } from '../driver.js'
import { OptionsError } from '../errors.js'
import type { Health } from './commands.js'

/** What becomes of the broker, for events and the log. */
export interface BrokerWatchHost {
  down(outage: BrokerOutage): void
  up(outage: BrokerOutage): void
}

/** The drivers that have a Streamer. */
const taken = new WeakSet<Driver>()

/**
 * Gives a driver to one Streamer.
 *
 * @throws OptionsError where it has one. A second would take the first one's messages: drivers keep
 *   one sink for each topic.
 */
export function takeDriver(driver: Driver): void {
  if (taken.has(driver)) {
    throw new OptionsError(
      'This driver belongs to another Streamer already. Make one driver for each Streamer, or ' +
        'give both middlewares the same { streamer }.',
    )
  }
  taken.add(driver)
}

/** Follows whether the driver reaches its broker. */
export class BrokerWatch {
  private readonly state: BrokerState | undefined
  private outage: BrokerOutage | undefined
  private changedAt: number | undefined

  constructor(
    driver: Driver,
    private readonly host: BrokerWatchHost,
  ) {
    this.state = driver.brokerState
    if (this.state === undefined) return
    this.state.onChange = () => this.look()
    this.look()
  }

  /** What `Streamer.health` says of the broker. Empty where the driver can't tell. */
  get health(): Pick<Health, 'broker' | 'since'> {
    if (this.state === undefined) return {}
    const since = this.changedAt === undefined ? {} : { since: this.changedAt }
    return { broker: this.outage === undefined ? 'up' : 'down', ...since }
  }

  /** Hears no more of it: a driver that is being closed loses its broker in order. */
  stop(): void {
    if (this.state !== undefined) this.state.onChange = undefined
  }

  private look(): void {
    const before = this.outage
    const now = this.state?.down
    this.outage = now
    if (now !== undefined && before === undefined) {
      this.changedAt = now.since
      this.host.down(now)
    } else if (now === undefined && before !== undefined) {
      this.changedAt = Date.now()
      this.host.up(before)
    }
  }
}
