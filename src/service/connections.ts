import type { Client } from '../delivery/client.js'
import type { Timers } from '../clock.js'
import type { Connection, ConnectionHost, DisconnectReason } from '../delivery/connection.js'
import type { Encoded } from '../wire/encode.js'
import { encodeComment, encodePosition } from '../wire/encode.js'
import { TooManyConnectionsError } from '../errors.js'
import { errorMessage, heartbeatMessage } from '../wire/messages.js'
import type { Settings } from '../options.js'

/** How long a connection has for its goodbye before it is cut off, in milliseconds. */
const GOODBYE_TIMEOUT = 5_000
/** A day: longer times are waited for in parts. */
const LONGEST_WAIT = 24 * 60 * 60 * 1000

/** What the connections tell their Streamer. */
export interface ConnectionsHost {
  /** The connection takes more again. */
  ready(connection: Connection): void
  /** The connection is over. Called once for each. */
  gone(connection: Connection, reason: DisconnectReason): void
  /** The position to name in a heartbeat, where there is one. */
  position(client: Client): string | undefined
}

/** Looks after open connections: heartbeats, those that take nothing, those that are too old. */
export class Connections implements ConnectionHost {
  /** Every connection that is not yet gone, those that are saying goodbye too. */
  readonly open = new Set<Connection>()
  private readonly heartbeat: Encoded
  /** The heartbeat that names a position, which most share. */
  private positioned: { id: string; heartbeat: Encoded } | undefined
  private readonly perAddress = new Map<string, number>()
  private waitingForNone: (() => void)[] = []
  private readonly beat = (connection: Connection): void => {
    const heartbeat = this.heartbeatFor(connection.client)
    if (!connection.full) connection.write(heartbeat)
    this.beatAfter(connection, this.settings.heartbeatInterval)
  }

  constructor(
    private readonly settings: Settings,
    private readonly timers: Timers,
    private readonly host: ConnectionsHost,
  ) {
    this.heartbeat = settings.heartbeat === 'message' ? heartbeatMessage() : encodeComment()
  }

  /** @param lifetime Milliseconds until the token that opened it expires, if it does. */
  keep(connection: Connection, lifetime = Infinity): void {
    const { heartbeatInterval, maxConnectionAge, random } = this.settings
    this.open.add(connection)
    this.count(connection.address, 1)
    if (heartbeatInterval > 0) {
      // The first comes early by chance, so that those who came together do not beat together.
      this.beatAfter(connection, heartbeatInterval * (0.5 + random() / 2))
    }
    if (maxConnectionAge > 0) {
      const age = maxConnectionAge * (1 - random() / 10)
      connection.limit = this.timers.after(age, () => this.end(connection, 'aged'))
    }
    if (lifetime < Infinity) this.expireAfter(connection, lifetime)
  }

  /**
   * @param client Whose connection it is to be, or undefined for one that is not made yet.
   * @param owned The clients of its owner.
   * @throws TooManyConnectionsError when a further connection of it would be over a limit.
   */
  checkRoom(client: Client | undefined, owned: readonly Client[], address?: string): void {
    const { maxConnectionsPerOwner, maxConnectionsPerAddress } = this.settings
    const others = owned.filter((one) => one !== client && one.connected)
    if (others.length >= maxConnectionsPerOwner) {
      throw new TooManyConnectionsError('owner', maxConnectionsPerOwner)
    }
    if (address === undefined) return
    // A connection that the client has is replaced, so the new one adds nothing.
    const replaced = client?.connection?.address === address ? 1 : 0
    if ((this.perAddress.get(address) ?? 0) - replaced >= maxConnectionsPerAddress) {
      throw new TooManyConnectionsError('address', maxConnectionsPerAddress)
    }
  }

  /** Ends a connection in order, and cuts it off if that takes too long. */
  end(connection: Connection, reason: DisconnectReason, goodbye?: Encoded): void {
    if (!this.open.has(connection)) return
    this.timers.cancel(connection.limit)
    connection.limit = this.timers.after(GOODBYE_TIMEOUT, () => connection.destroy(reason))
    connection.end(reason, goodbye)
  }

  /** Resolves when no connection is left. */
  async none(): Promise<void> {
    if (this.open.size === 0) return
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
    this.timers.cancel(connection.expiry)
    this.timers.cancel(connection.patience)
    connection.patience = undefined
    this.open.delete(connection)
    this.count(connection.address, -1)
    this.host.gone(connection, reason)
    if (this.open.size > 0) return
    for (const resolve of this.waitingForNone.splice(0)) resolve()
  }

  private count(address: string | undefined, change: number): void {
    if (address === undefined) return
    const count = (this.perAddress.get(address) ?? 0) + change
    if (count > 0) this.perAddress.set(address, count)
    else this.perAddress.delete(address)
  }

  private expireAfter(connection: Connection, lifetime: number): void {
    const wait = Math.min(Math.max(lifetime, 0), LONGEST_WAIT)
    connection.expiry = this.timers.after(wait, () => {
      if (wait < lifetime) this.expireAfter(connection, lifetime - wait)
      else this.end(connection, 'expired', errorMessage({ code: 'token-expired' }))
    })
  }

  private beatAfter(connection: Connection, milliseconds: number): void {
    connection.beat = this.timers.after(milliseconds, this.beat, connection)
  }

  private heartbeatFor(client: Client): Encoded {
    const id = this.host.position(client)
    // Before its first message it is sent what is no message.
    if (id === undefined) return client.greeted ? this.heartbeat : encodeComment()
    if (this.positioned?.id !== id) {
      const visible = this.settings.heartbeat === 'message'
      this.positioned = { id, heartbeat: visible ? heartbeatMessage(id) : encodePosition(id) }
    }
    return this.positioned.heartbeat
  }
}
