import type { Client } from '../delivery/client.js'
import type { Timers } from '../clock.js'
import type { Connection, ConnectionHost, DisconnectReason } from '../delivery/connection.js'
import type { Encoded } from '../wire/encode.js'
import { encodeComment, encodePosition } from '../wire/encode.js'
import { TooManyConnectionsError } from '../errors.js'
import type { Place } from './places.js'
import { Places } from './places.js'
import { Stalled } from './stalled.js'
import { errorMessage, heartbeatMessage, writtenName } from '../wire/messages.js'
import type { Settings } from '../options.js'

/** How long a connection may take to end before it is cut off, in milliseconds. */
const GOODBYE_TIMEOUT = 5_000
/** The longest wait on one timer, a day in milliseconds. Longer times are waited for in parts. */
const LONGEST_WAIT = 24 * 60 * 60 * 1000

/**
 * The room of one stream: taken when its request is admitted, given back when its connection or its
 * response is over, whichever comes first.
 */
export class Seat {
  constructor(
    private readonly ofOwner: Place,
    private readonly ofAddress: Place,
  ) {}

  /** Whether its stream gets messages, or will. */
  get isOpen(): boolean {
    return this.ofOwner.isTaken
  }

  /** Whether it is this owner's, at this address. */
  isFor(owner: string | undefined, address: string | undefined): boolean {
    return this.ofOwner.owner === owner && this.ofAddress.address === address
  }

  /** The stream gets no more messages. Until its goodbye is sent, the address keeps its room. */
  end(): void {
    this.ofOwner.leave()
  }

  /** Gives all of it back. A second call does nothing. */
  leave(): void {
    this.ofOwner.leave()
    this.ofAddress.leave()
  }
}

/** What the connections need of the Streamer. */
export interface ConnectionsHost {
  /** The connection accepts bytes again. */
  ready(connection: Connection): void
  /** The connection has ended. Called once for each. */
  gone(connection: Connection, reason: DisconnectReason): void
  /** The position to send with a heartbeat, or undefined for none. */
  position(client: Client): string | undefined
  /** Looks again at the rights of a connection's client. Never rejects. */
  recheck(client: Client): Promise<void>
}

/** The open connections: sends heartbeats, and ends those that are too slow or too old. */
export class Connections implements ConnectionHost {
  /** All connections that have not ended yet, also those that are ending. */
  readonly open = new Set<Connection>()
  private readonly heartbeat: Encoded
  /** The event name of info messages, as it is written. */
  private readonly infoEvent: string | undefined
  /** The last heartbeat that was made with a position; most clients share it. */
  private positioned: { id: string; heartbeat: Encoded } | undefined
  /** Connections whose peers accept no bytes. */
  readonly stalls: Stalled
  /** By owner: the streams that are open, and those that requests have been admitted for. */
  private readonly owners = new Places()
  /** By address: the same, and the streams that are ending. */
  private readonly addresses = new Places()
  private readonly seats = new Map<Connection, Seat>()
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
    const event = (this.infoEvent = writtenName(settings.infoEvent))
    this.heartbeat =
      settings.heartbeat === 'message' ? heartbeatMessage({ event }) : encodeComment()
    this.stalls = new Stalled(settings.maxStalledBytes)
  }

  /**
   * Adds a connection.
   *
   * @param seat The room that its request took; without, it takes room now.
   * @param lifetime Milliseconds until its token expires.
   */
  keep(connection: Connection, seat = this.seatFor(connection), lifetime = Infinity): void {
    const { heartbeatInterval, maxConnectionAge, random } = this.settings
    this.open.add(connection)
    this.seats.set(connection, seat)
    if (heartbeatInterval > 0) {
      // The first one comes early, at random, so that not all clients get theirs at once.
      this.beatAfter(connection, heartbeatInterval * (0.5 + random() / 2))
    }
    if (maxConnectionAge > 0) {
      const age = maxConnectionAge * (1 - random() / 10)
      connection.limit = this.timers.after(age, () => this.end(connection, 'aged'))
    }
    if (lifetime < Infinity) this.expireAfter(connection, lifetime)
    if (this.settings.recheck > 0) this.recheckLater(connection)
  }

  /**
   * Takes room for one more stream, before anything is awaited for it.
   *
   * @param client The client of the new stream, or undefined if it is not made yet.
   * @throws TooManyConnectionsError if one more stream would exceed a limit.
   */
  takeSeat(client: Client | undefined, owner?: string, address?: string): Seat {
    const { maxConnectionsPerOwner, maxConnectionsPerAddress } = this.settings
    // The new stream replaces the client's own, so it adds none.
    const own = client?.connection
    const isOpen = own !== undefined && this.seats.get(own)?.isOpen === true
    if (this.owners.ofOwner(owner) - (isOpen ? 1 : 0) >= maxConnectionsPerOwner) {
      throw new TooManyConnectionsError('owner', maxConnectionsPerOwner)
    }
    const replaced = own !== undefined && own.address === address ? 1 : 0
    if (this.addresses.ofAddress(address) - replaced >= maxConnectionsPerAddress) {
      throw new TooManyConnectionsError('address', maxConnectionsPerAddress)
    }
    return new Seat(this.owners.take(owner, undefined), this.addresses.take(undefined, address))
  }

  /** Sends the goodbye, if any, and ends a connection. Cuts it off if that takes too long. */
  end(connection: Connection, reason: DisconnectReason, goodbye?: Encoded): void {
    if (!this.open.has(connection)) return
    // What it still has to send must not keep its owner from opening the next one.
    this.seats.get(connection)?.end()
    this.timers.cancel(connection.limit)
    connection.limit = this.timers.after(GOODBYE_TIMEOUT, () => {
      connection.destroy(reason)
      // A response that is not Node's own, such as a test's, may never say that it is closed.
      connection.gone()
    })
    connection.end(reason, goodbye)
  }

  /** Resolves when all connections have ended. */
  async none(): Promise<void> {
    if (this.open.size === 0) return
    await new Promise<void>((resolve) => this.waitingForNone.push(resolve))
  }

  stalled(connection: Connection): void {
    this.stalls.add(connection)
    connection.patience = this.timers.after(this.settings.slowClientTimeout, () => {
      const patience = connection.patience
      // If this process was busy, the socket may have drained without its event having been read.
      // `setImmediate` runs after the event loop has polled the sockets.
      setImmediate(() => {
        if (connection.patience === patience) connection.destroy('slow')
      })
    })
  }

  flowing(connection: Connection): void {
    this.stalls.delete(connection)
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
    this.timers.cancel(connection.rights)
    this.timers.cancel(connection.patience)
    connection.patience = undefined
    this.stalls.delete(connection)
    this.open.delete(connection)
    this.seats.get(connection)?.leave()
    this.seats.delete(connection)
    this.host.gone(connection, reason)
    if (this.open.size > 0) return
    for (const resolve of this.waitingForNone.splice(0)) resolve()
  }

  private seatFor({ client, address }: Connection): Seat {
    const owner = this.owners.take(client.owner, undefined)
    return new Seat(owner, this.addresses.take(undefined, address))
  }

  private expireAfter(connection: Connection, lifetime: number): void {
    const wait = Math.min(Math.max(lifetime, 0), LONGEST_WAIT)
    connection.expiry = this.timers.after(wait, () => {
      if (wait < lifetime) this.expireAfter(connection, lifetime - wait)
      else this.expire(connection)
    })
  }

  /** Ends a connection whose token or log-in is over. */
  expire(connection: Connection): void {
    this.end(
      connection,
      'expired',
      errorMessage({ code: 'token-expired' }, { event: this.infoEvent }),
    )
  }

  private recheckLater(connection: Connection): void {
    const { recheck, random } = this.settings
    connection.rights = this.timers.after(recheck * (1 - random() / 2), () => {
      void this.host.recheck(connection.client).then(() => {
        if (this.open.has(connection)) this.recheckLater(connection)
      })
    })
  }

  private beatAfter(connection: Connection, milliseconds: number): void {
    connection.beat = this.timers.after(milliseconds, this.beat, connection)
  }

  private heartbeatFor(client: Client): Encoded {
    const id = this.host.position(client)
    // The first message of a stream is `config`, so before it a heartbeat must be a comment.
    if (id === undefined) return client.greeted ? this.heartbeat : encodeComment()
    if (this.positioned?.id !== id) {
      const { infoEvent: event } = this
      const visible = this.settings.heartbeat === 'message'
      this.positioned = {
        id,
        heartbeat: visible ? heartbeatMessage({ id, event }) : encodePosition(id),
      }
    }
    return this.positioned.heartbeat
  }
}
