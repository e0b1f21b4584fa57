import type { Timers } from '../clock.js'
import type { Client } from './client.js'
import type { Connection } from './connection.js'

/**
 * Clients that are written to at most once in an interval. They are never live: after each write
 * they wait, and then read on from their cursor, past what is out of date by then.
 */
export class Pauses {
  private readonly waiting = new WeakSet<Connection>()

  constructor(
    private readonly timers: Timers,
    private readonly goOn: (client: Client) => void,
  ) {}

  /** Whether this connection has been written to within its interval. */
  has(connection: Connection): boolean {
    return this.waiting.has(connection)
  }

  /** A client has everything. @returns whether it waits now, instead of being live. */
  begin(client: Client, connection: Connection): boolean {
    const interval = intervalOf(client)
    if (interval === 0) return false
    this.waiting.add(connection)
    this.timers.after(interval, () => {
      this.waiting.delete(connection)
      if (client.connection === connection) this.goOn(client)
    })
    return true
  }
}

/** The longest interval of a client's topics: it holds for all of its stream, which has one cursor. */
function intervalOf(client: Client): number {
  let longest = 0
  for (const { interval } of client.memberships) longest = Math.max(longest, interval)
  return longest
}
