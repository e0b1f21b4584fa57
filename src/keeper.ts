import type { Timers } from './clock.js'
import type { Connection, ConnectionHost, DisconnectReason } from './connection.js'
import type { Encoded } from './encode.js'
import { encodeComment } from './encode.js'
import { heartbeatMessage } from './messages.js'
import type { Settings } from './options.js'

/** How long a connection has for its goodbye before it is cut off, in milliseconds. */
const GOODBYE_TIMEOUT = 5_000

/** What the keeper tells its Streamer. */
export interface KeeperHost {
  /** The connection takes more again. */
  ready(connection: Connection): void
  /** The connection is over. Called once for each. */
  gone(connection: Connection, reason: DisconnectReason): void
}

/** Looks after open connections: heartbeats, those that take nothing, those that are too old. */
export class Keeper implements ConnectionHost {
  /** Every connection that is not yet gone, those that are saying goodbye too. */
  readonly connections = new Set<Connection>()
  private readonly heartbeat: Encoded
  private waitingForNone: (() => void)[] = []

  constructor(
    private readonly settings: Settings,
    private readonly timers: Timers,
    private readonly host: KeeperHost,
  ) {
    this.heartbeat = settings.heartbeat === 'message' ? heartbeatMessage() : encodeComment()
  }

  keep(connection: Connection): void {
    const { heartbeatInterval, maxConnectionAge, random } = this.settings
    this.connections.add(connection)
    if (heartbeatInterval > 0) {
      // The first comes early by chance, so that those who came together do not beat together.
      this.beatAfter(connection, heartbeatInterval * (0.5 + random() / 2))
    }
    if (maxConnectionAge > 0) {
      const age = maxConnectionAge * (1 - random() / 10)
      connection.limit = this.timers.after(age, () => this.end(connection, 'aged'))
    }
  }

  /** Ends a connection in order, and cuts it off if that takes too long. */
  end(connection: Connection, reason: DisconnectReason, goodbye?: Encoded): void {
    if (!this.connections.has(connection)) return
    this.timers.cancel(connection.limit)
    connection.limit = this.timers.after(GOODBYE_TIMEOUT, () => connection.destroy(reason))
    connection.end(reason, goodbye)
  }

  /** Resolves when no connection is left. */
  async none(): Promise<void> {
    if (this.connections.size === 0) return
    await new Promise<void>((resolve) => this.waitingForNone.push(resolve))
  }

  stalled(connection: Connection): void {
    connection.patience = this.timers.after(this.settings.slowClientTimeout, () => {
      const patience = connection.patience
      // The process itself may have been busy, with the peer's sign waiting to be read: look once
      // more when the event loop has polled.
      setImmediate(() => {
        if (connection.patience === patience) connection.destroy('slow')
      })
    })
  }

  flowing(connection: Connection): void {
    this.timers.cancel(connection.patience)
    connection.patience = undefined
  }

  ready(connection: Connection): void {
    this.host.ready(connection)
  }

  gone(connection: Connection, reason: DisconnectReason): void {
    this.timers.cancel(connection.beat)
    this.timers.cancel(connection.limit)
    this.timers.cancel(connection.patience)
    connection.patience = undefined
    this.connections.delete(connection)
    this.host.gone(connection, reason)
    if (this.connections.size > 0) return
    for (const resolve of this.waitingForNone.splice(0)) resolve()
  }

  private beatAfter(connection: Connection, milliseconds: number): void {
    connection.beat = this.timers.after(milliseconds, () => {
      if (!connection.full) connection.write(this.heartbeat)
      this.beatAfter(connection, this.settings.heartbeatInterval)
    })
  }
}
