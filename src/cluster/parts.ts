import type { Timers } from '../clock.js'
import type { Delivery } from '../delivery/delivery.js'
import type { Settings } from '../options.js'
import type { Clients } from '../service/clients.js'
import type { Rights } from '../service/rights.js'
import type { Subscriptions } from '../service/subscriptions.js'

/** The parts of a Streamer that the cluster works with. */
export interface ClusterParts {
  readonly settings: Settings
  readonly timers: Timers
  readonly clients: Clients
  readonly subscriptions: Subscriptions
  readonly delivery: Delivery
  readonly rights: Rights
  /** Whether the Streamer is closing or closed. */
  refusing(): boolean
  report(cause: unknown, message: string): void
  warn(details: object, message: string): void
}
