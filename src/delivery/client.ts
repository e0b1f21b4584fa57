import type { Timer } from '../clock.js'
import type { Connection } from './connection.js'
import type { Batch } from '../wire/frame.js'
import type { Membership } from './membership.js'
import type { TickBatch } from './tick-batch.js'

/** Why a client is no more. */
export type ClientEnd =
  /** `removeClient` or `Client.close`. */
  | 'removed'
  /** `revoke`. */
  | 'revoked'
  /** It stayed away for longer than its TTL. */
  | 'expired'
  /** Its connection ended, and its request can make it anew. */
  | 'left'
  /** The Streamer was closed. */
  | 'closed'
  /** Another server has it now; there is a `directory`. */
  | 'moved'
  /** The Streamer was closed, or cut off for long; another server may have it. There is a `directory`. */
  | 'released'

/** How many ended subscriptions are remembered of which a client has not shown that it knows. */
const MOST_ENDED = 32
/** Shared by all clients that have none. */
const NONE: readonly Membership[] = []

/** What a client needs of its Streamer. */
export interface ClientHost {
  removeClient(id: string): Promise<void>
  /** Everybody who keeps up has been given everything through this number. */
  readonly delivered: number
}

/**
 * One consumer of events, known by its id. It lives on between connections for `clientTTL`.
 *
 * Clients are made by a Streamer, and live until they are removed, expire, or it closes.
 */
export class Client {
  /** @internal Its subscriptions in force, by topic. */
  readonly memberships = new Map<string, Membership>()
  /** @internal Subscriptions that the broker ended, until the client is known to know it. */
  ended: readonly Membership[] = NONE
  /** @internal A position up to here may come from before an ended subscription it never got. */
  forgottenThrough = 0
  /** @internal What it would name of a log that was made anew, until it has got this number. */
  outdated: { position: string; until: number } | undefined = undefined
  /** @internal The open response, if there is one. */
  connection: Connection | undefined = undefined
  /** @internal Whether it has been given all that is delivered and takes more. */
  live = false
  /** @internal Whether nothing is sent to it until it is known whether it is still this server's. */
  suspended = false
  /** @internal Whether its connection has been given its first message. */
  greeted = false
  /** @internal Whether it is not known yet how its connection goes on from the position it named. */
  resuming = false
  /** @internal The number last written to it, while it is not live. */
  cursor: number
  /** @internal Waits for the end of its TTL. */
  expiry: Timer | undefined = undefined
  /** @internal The part of the current tick that is its own. */
  tick: TickBatch | undefined = undefined
  /** @internal Where it stood on the server that it came from, until it has a stream here. */
  handover: string | undefined = undefined
  /** @internal Why it is no more, or undefined while it lives. */
  end: ClientEnd | undefined = undefined

  /** @internal */
  constructor(
    /** A capability: whoever has it, and is the owner where one is named, may connect. */
    readonly id: string,
    /** Who it belongs to, where it belongs to someone. Nobody else may use it over HTTP. */
    readonly owner: string | undefined,
    /** @internal Whether it goes with its connection, because its request can make it anew. */
    readonly transient: boolean,
    private readonly host: ClientHost,
  ) {
    this.cursor = host.delivered
  }

  /** Whether it has an open connection. */
  get connected(): boolean {
    return this.connection !== undefined
  }

  /** The topics it is subscribed to. */
  get topics(): string[] {
    return [...this.memberships.keys()]
  }

  /** How many topics it is subscribed to. */
  get totalTopics(): number {
    return this.memberships.size
  }

  /** Removes it: it is told `Client closed`, its stream ends, its topics are let go. */
  async close(): Promise<void> {
    if (this.end === undefined) await this.host.removeClient(this.id)
  }

  /** @internal The number last written to it. */
  get position(): number {
    return this.live ? this.host.delivered : this.cursor
  }

  /** @internal Writes what everybody who keeps up gets; they had everything through `had`. */
  deliver(batches: readonly Batch[], had: number): void {
    for (const batch of batches) {
      const result = this.connection?.write(batch) ?? 'closed'
      // Not taken: the cursor stays before this batch, so that it is sent to the next connection.
      if (result !== 'closed') had = batch.last
      if (result === 'ok') continue
      this.live = false
      this.cursor = had
      return
    }
  }

  /** @internal Every subscription that may still have frames for it. */
  readable(): Membership[] {
    const memberships = [...this.memberships.values()]
    return this.ended.length === 0 ? memberships : memberships.concat(this.ended)
  }

  /**
   * @internal The broker has ended a subscription, which stands in the history as `number`.
   *
   * It is remembered beyond the moment in which the client was told, since what is written may
   * be lost on its way. Of those that were told, so many are remembered one by one.
   */
  lose(membership: Membership, number: number): void {
    membership.endedAt = number
    membership.awaits = false
    this.memberships.delete(membership.topic.name)
    this.ended = [...this.ended, membership]
    const oldest = this.ended[0]!
    if (this.ended.length <= MOST_ENDED || oldest.endedAt! > this.position) return
    this.forgottenThrough = oldest.endedAt!
    this.forget(oldest)
  }

  /** @internal Drops a subscription that the broker ended. */
  forget(membership: Membership): void {
    this.ended = this.ended.filter((other) => other !== membership)
    membership.topic.leave(membership)
  }
}
