import type { ClientEnd, ClientHost } from '../delivery/client.js'
import { Client } from '../delivery/client.js'
import type { Timers } from '../clock.js'
import type { DisconnectReason, Outlet } from '../delivery/connection.js'
import { Connection } from '../delivery/connection.js'
import type { Delivery } from '../delivery/delivery.js'
import { TooManyClientsError } from '../errors.js'
import type { StreamerEvents } from './events.js'
import type { Seat } from './connections.js'
import { Connections } from './connections.js'
import { drain } from './drain.js'
import type { Place } from './places.js'
import { Places } from './places.js'
import { UNKNOWN_POSITION } from '../wire/position.js'
import { closedMessage, comeBackMessage, errorMessage, writtenName } from '../wire/messages.js'
import type { OptionCheck } from '../option-checks.js'
import { flag, text } from '../option-checks.js'
import type { Settings } from '../options.js'
import { isOwner } from './owner.js'
import { ClientIndex } from './client-index.js'
import type { Labels } from './selector.js'
import { LABELS_CHECK, NO_LABELS } from './selector.js'
import { Revocations } from './revocations.js'
import type { Counters } from './stats.js'
import type { Subscriptions } from './subscriptions.js'

/**
 * The wait of a page that is not to come back by itself, in milliseconds: a week. Its client is over,
 * or has a newer stream, from which it must not take the client back.
 */
const STAY_AWAY = 7 * 24 * 60 * 60 * 1000

/** How long listeners of `connect` may hold up an automatic client's messages, in milliseconds. */
const CONNECT_PATIENCE = 1_000

/** What a new client may be given. */
export interface ClientOptions {
  /**
   * Who it belongs to. Over HTTP, nobody else may connect to it, change or remove it. Default, or
   * false: nobody. Undefined is refused: it would be nobody by accident.
   */
  owner?: string | false
  /**
   * Whether it goes as soon as its connection ends, because its request says all that is needed
   * to make it anew; its topics are then held open for `clientTTL`. Default: false.
   */
  transient?: boolean
  /**
   * The network address that asked for it. Where the client has no owner, it counts for
   * `maxClientsPerAddress` and `maxOpenTopicsPerAddress`. Default: it counts for no address.
   */
  address?: string | undefined
  /**
   * What it is marked with, such as `{ session: 's1', tenant: 'acme' }`, so that `subscribe`, `revoke` and
   * the like can mean all clients with a label. At most 8, each a text. Default: none.
   */
  labels?: Labels
}

export const CLIENT_OPTIONS = {
  owner: [
    (value) => value === false || isOwner(value),
    'the name of an owner, or false for nobody',
    { given: true },
  ],
  transient: flag,
  address: text,
  labels: LABELS_CHECK,
} satisfies Record<keyof ClientOptions, OptionCheck>

/** What a request for a stream brings along. */
export interface Arrival {
  /** The position that the client says it got last. */
  position: string | undefined
  /** The network address that the request comes from. */
  address: string | undefined
  /** Milliseconds until the token that opened the stream expires. Default: never. */
  lifetime?: number | undefined
  /** The room that the request took. Default: room is taken whatever the limits say. */
  seat?: Seat | undefined
  /** Whether it asks to skip what is out of date. Default: no. */
  conflate?: boolean | undefined
}

/** Whose client is to be made, and from where, as far as that is known. */
export interface Reservation {
  owner: string | undefined
  address?: string | undefined
}

interface NewClient {
  owner: string | undefined
  transient?: boolean
  labels?: Labels | undefined
}

/** What the clients tell their Streamer, and ask of it. */
export interface ClientsHost {
  emit<Name extends keyof StreamerEvents>(event: Name, ...details: StreamerEvents[Name]): void
  /** See `Streamer.removeClient`. */
  removeClient(id: string): Promise<unknown>
  /**
   * A client's stream has opened. Emits `connect`.
   *
   * @returns when its listeners have settled, or undefined where they have already. Never rejects.
   */
  connected(client: Client, position: string | undefined): Promise<void> | undefined
  /** Looks again at the rights of a client with an open stream. Never rejects. */
  recheck(client: Client): Promise<void>
  /** The request that a client was claimed for has got its stream, or has not. */
  claimSettled(client: Client): void
  streamEnded(client: Client): void
  /** A client is over, and no other server may have it. */
  ended(client: Client): void
  /** Whether there may be other servers at which a client can go on. */
  readonly others: boolean
}

/** The clients of this process: how they are made, get streams, and end. */
export class Clients {
  readonly index = new ClientIndex()
  readonly connections: Connections
  readonly revocations: Revocations
  private readonly clientHost: ClientHost
  private readonly expire = (client: Client): void => this.remove(client, 'expired')
  /** Clients, and those that are being made. */
  private readonly places = new Places()
  private readonly placeOf = new Map<Client, Place>()
  private over = false

  constructor(
    private readonly settings: Settings,
    private readonly timers: Timers,
    private readonly delivery: Delivery,
    private readonly subscriptions: Subscriptions,
    private readonly counts: Counters,
    private readonly host: ClientsHost,
  ) {
    this.clientHost = {
      removeClient: (id) => host.removeClient(id),
      infoEvent: delivery.infoEvent,
      get delivered() {
        return delivery.delivered
      },
    }
    this.revocations = new Revocations(timers, this.index)
    this.connections = new Connections(settings, timers, {
      ready: ({ client }) => delivery.catchUp(client),
      gone: (connection, reason) => this.gone(connection, reason),
      position: (client) => delivery.heartbeatFor(client),
      recheck: (client) => host.recheck(client),
    })
  }

  /**
   * Takes room for one more client, before anything is awaited for it. The caller gives it to
   * {@link make}, or leaves it.
   *
   * @throws TooManyClientsError if one more client would exceed a limit.
   */
  reserve({ owner, address }: Reservation): Place {
    const { maxClients, maxClientsPerOwner, maxClientsPerAddress } = this.settings
    const anonymous = owner === undefined ? address : undefined
    if (this.places.total >= maxClients) throw new TooManyClientsError()
    if (this.places.ofOwner(owner) >= maxClientsPerOwner) {
      throw new TooManyClientsError('owner', maxClientsPerOwner)
    }
    if (this.places.ofAddress(anonymous) >= maxClientsPerAddress) {
      throw new TooManyClientsError('address', maxClientsPerAddress)
    }
    return this.places.take(owner, anonymous)
  }

  /** Makes a client, in the room that was reserved for it. Its TTL runs. */
  make(
    id: string,
    { owner, transient = false, labels = NO_LABELS }: NewClient,
    place: Place,
  ): Client {
    this.delivery.flush()
    const client = new Client(id, owner, transient, this.clientHost, place.address, labels)
    this.index.add(client)
    this.placeOf.set(client, place)
    this.expireLater(client)
    this.host.emit('clientCreated', client)
    return client
  }

  /** Opens a client's stream. */
  attach(client: Client, outlet: Outlet, arrival: Arrival): void {
    const { position, address, lifetime, seat } = arrival
    const connection = new Connection(client, address, outlet, this.connections)
    this.connections.keep(connection, seat, lifetime)
    if (client.end !== undefined || this.over) {
      this.sayGoodbye(connection, client.end ?? 'closed', this.retry())
      return
    }
    client.asksConflation = arrival.conflate === true
    this.replace(client)
    this.timers.cancel(client.stopTTL())
    // Its listeners may subscribe it to topics that go on from its position: nothing is sent before.
    if (client.transient) client.suspend()
    this.delivery.start({
      client,
      connection,
      position: this.whereIs(client, position),
      asked: position,
      greeting: {
        config: {
          client_id: client.id,
          client_ttl_millis: this.settings.clientTTL,
          ...(this.settings.heartbeat === 'message' &&
            this.settings.heartbeatInterval > 0 && {
              heartbeat_millis: this.settings.heartbeatInterval,
            }),
        },
        retry: this.retry(),
      },
    })
    this.host.claimSettled(client)
    this.connected(client, position)
  }

  /** Gives back a client whose request got no stream. An automatic client is removed. */
  abandon(client: Client): void {
    if (client.transient && !client.connected) this.remove(client, 'left')
    this.host.claimSettled(client)
  }

  /**
   * Takes room for a stream.
   *
   * @param id The client whose stream it is to be, or undefined for a client not made yet.
   * @throws TooManyConnectionsError when one stream more would be over a limit.
   */
  takeSeat(id: string | undefined, owner: string | undefined, address: string | undefined): Seat {
    const client = id === undefined ? undefined : this.index.get(id)
    return this.connections.takeSeat(client, owner, address)
  }

  /** Tells the application of a new stream. What it subscribes there goes on from the position. */
  private connected(client: Client, position: string | undefined): void {
    const { connection } = client
    const settled = this.host.connected(client, position)
    if (!client.transient) return
    const goOn = () => {
      if (client.connection === connection && client.unsuspend()) this.delivery.catchUp(client)
    }
    if (settled === undefined) {
      goOn()
      return
    }
    const patience = this.timers.after(CONNECT_PATIENCE, goOn)
    void settled.then(() => {
      this.timers.cancel(patience)
      goOn()
    })
  }

  /** Where a client says that it stands, or where the server that it was taken from says so. */
  private whereIs(client: Client, position: string | undefined): string | undefined {
    // Its request says all that it is given, so it may not make that up.
    if (client.transient && position !== undefined && !this.delivery.vouchesFor(position)) {
      return UNKNOWN_POSITION
    }
    const handover = client.takeHandover()
    return handover === undefined ? position : this.delivery.placeAfterMove(position ?? handover)
  }

  /** Ends a client's stream, whose page comes back at once. @returns whether it had one. */
  sendBack(client: Client): boolean {
    const { connection } = client
    if (connection === undefined) return false
    this.delivery.flush()
    this.connections.end(connection, 'reconnect', comeBackMessage(this.retry()))
    return true
  }

  /** Ends a client's stream, since the log-in that opened it is over. */
  expireStream(client: Client): void {
    if (client.connection === undefined) return
    this.delivery.flush()
    this.connections.expire(client.connection)
  }

  /** Ends a client and its stream. */
  remove(client: Client, end: ClientEnd, retry = this.retry()): void {
    if (client.end !== undefined) return
    this.delivery.flush()
    // It comes back nowhere, so what is not written by now never will be.
    if (client.readable && isFinal(end)) this.delivery.tellUnsent(client)
    client.finish(end)
    this.index.remove(client)
    this.placeOf.get(client)?.leave()
    this.placeOf.delete(client)
    this.timers.cancel(client.stopTTL())
    const heldUntil = end === 'left' ? this.timers.clock.now() + this.settings.clientTTL : 0
    this.subscriptions.leaveAll(client, heldUntil)
    if (client.connection !== undefined) this.sayGoodbye(client.connection, end, retry)
    if (end !== 'moved' && end !== 'released') this.host.ended(client)
    this.host.emit('clientRemoved', client, end)
  }

  /**
   * Removes a client that another server owns, or may own.
   *
   * @param options.replaced Whether it has a stream there, so that its page must not open the one
   *   here again.
   */
  dismiss(
    client: Client,
    end: 'moved' | 'released',
    { replaced, retry = this.retry() }: { replaced: boolean; retry?: number | undefined },
  ): void {
    const { connection } = client
    if (connection !== undefined && client.end === undefined && !replaced) {
      this.delivery.flush()
      this.connections.end(connection, 'closed', comeBackMessage(retry))
    }
    this.remove(client, end)
  }

  /**
   * Sends the clients that have streams away. Settles when all have gone, or the period is over.
   *
   * @param over The period, in milliseconds. 0: all go now, and come back after their usual `retry`.
   * @param sendAway Ends a client's stream; its page comes back after `retry` milliseconds.
   */
  async drain(over: number, sendAway: (client: Client, retry: number) => void): Promise<void> {
    const { settings, timers, index, connections } = this
    if (over > 0) return drain(over, { settings, timers, index, connections, sendAway })
    for (const client of index.all()) if (client.connected) sendAway(client, this.retry())
  }

  /** Removes all clients. Settles when no connection is left. */
  async close(): Promise<void> {
    this.over = true
    for (const client of this.index.all()) this.remove(client, 'closed')
    await this.connections.none()
  }

  /** Ends a client's connection in favour of a new one. */
  private replace(client: Client): void {
    const { connection } = client
    if (connection === undefined) return
    this.delivery.flush()
    client.detach()
    this.sayGoodbye(connection, 'moved', 0)
  }

  private sayGoodbye(connection: Connection, end: ClientEnd, retry: number): void {
    const event = writtenName(this.settings.infoEvent)
    if (end === 'moved') {
      const goodbye = errorMessage({ code: 'replaced' }, { retry: STAY_AWAY, event })
      this.connections.end(connection, 'replaced', goodbye)
      return
    }
    const shutting = end === 'closed' || end === 'released'
    const back = shutting && this.host.others
    const goodbye = back
      ? comeBackMessage(retry)
      : closedMessage(shutting ? retry : STAY_AWAY, event)
    this.connections.end(connection, shutting ? 'closed' : 'removed', goodbye)
  }

  private gone(connection: Connection, reason: DisconnectReason): void {
    this.counts.disconnects[reason]++
    const { client } = connection
    if (client.connection === connection) {
      client.detach()
      if (client.end === undefined) {
        if (client.transient) this.remove(client, 'left')
        else this.expireLater(client)
      }
      this.host.streamEnded(client)
    }
    this.host.emit('disconnect', client, reason)
  }

  private expireLater(client: Client): void {
    client.startTTL(this.timers.after(this.settings.clientTTL, this.expire, client))
  }

  /** How long a browser waits before it comes back, in milliseconds: at random, by `retry`. */
  retry(): number {
    const { min, max } = this.settings.retry
    return Math.round(min + this.settings.random() * (max - min))
  }
}

/** Whether a client that ended so has no other server to go on at. */
function isFinal(end: ClientEnd): boolean {
  return end === 'removed' || end === 'revoked' || end === 'closed'
}
