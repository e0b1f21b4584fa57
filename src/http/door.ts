import type { Client } from '../delivery/client.js'
import type { Outlet } from '../delivery/connection.js'
import type { Arrival } from '../service/clients.js'
import type { OwnerCheck } from '../service/commands.js'
import type { LogIn } from '../service/revocations.js'
import type { Seat } from '../service/connections.js'
import type { Plan } from '../service/rechecks.js'
import type { Rights, Visit } from '../service/rights.js'
import type { JoinOptions } from '../service/subscriptions.js'
import type { Turnstile } from '../service/turnstile.js'

/**
 * What a request for a stream calls on a Streamer, in this order: `claim`, whose `check` calls
 * `takeSeat`; `enter`; then either `attach` or `abandon`.
 *
 * ```text
 * GET /events?id=a ──▶ claim('a') ──▶ headers are sent ──▶ attach(client)
 *                          └──▶ the browser has left by now ──▶ abandon(client)
 * ```
 */
export interface Door {
  /**
   * Takes a client for a new stream; with a `directory` also from another server. The caller must
   * then call `attach` or `abandon`.
   *
   * @param check Throws if the request may not have a client of this owner.
   * @throws NoClientError, what `check` throws; with a `directory` StreamerClosedError,
   *   TooManyClientsError, DirectoryUnavailableError.
   */
  claim(id: string, check: OwnerCheck): Promise<Client>
  /**
   * A claimed client is about to get its stream: what it may not have any more is taken from it.
   *
   * @param plan The topics that the request is to have, if `autoClient` has made it a plan.
   */
  enter(client: Client, visit: Visit, plan: Plan | undefined): Promise<void>
  /** Who may have which topic. */
  readonly rights: Rights
  /** A user, or who has none at a network address, was refused these topics. */
  refused(owner: string | undefined, address: string | undefined, topics: readonly string[]): void
  /** Whether what is added to this client would be gone with its stream. */
  goesWithStream(id: string): boolean
  /** Subscribes a client to a topic that a request asked for. @returns whether it had it not before. */
  subscribe(id: string, topic: string, options: JoinOptions): Promise<boolean>
  /** @returns whether the client had the topic. */
  unsubscribe(id: string, topic: string): Promise<boolean>
  /** Opens a client's stream. It replaces the stream that the client may have. */
  attach(client: Client, outlet: Outlet, arrival: Arrival): void
  /** Gives back a client whose request got no stream. An automatic client is removed. */
  abandon(client: Client): void
  /**
   * Takes room for one more stream, before anything is awaited for it. See `takeSeat` in `seats`,
   * which gives it back when the response is over.
   *
   * @param id The client of the new stream, or undefined if it is not made yet.
   * @throws TooManyConnectionsError if one more stream would exceed a limit.
   */
  takeSeat(id: string | undefined, owner: string | undefined, address: string | undefined): Seat
  /** @throws RevokedError if who sends the request was revoked. */
  checkRevoked(logIn: LogIn): void
  /** Notes with which log-in a request has its client, so that `revoke` finds it. */
  noteLogIn(client: Client, logIn: LogIn): void
  /**
   * After how many milliseconds a page comes back that is refused for the moment. Undefined where
   * the option `passingRefusals` says that it gets a status.
   */
  retryAfterRefusal(): number | undefined
  /** The event name of info messages, as it is written. */
  readonly infoEvent: string | undefined
  /** Reports why a request failed, where its answer does not say so and nobody else is told. */
  failed(error: unknown): void
  /**
   * Checks topics that one request names: how many, and their names.
   *
   * @throws TooManyTopicsError, TopicNameError
   */
  checkTopics(names: readonly unknown[]): asserts names is readonly string[]
  /** Lets a limited number of calls of `authorize` run at once. */
  readonly authorizing: Turnstile
  /** What else serves streams on this Streamer, and goes with it. */
  readonly companions: Set<Companion>
}

/** What goes with a Streamer. */
export interface Companion {
  /** The Streamer drains. Settles when nothing is left to wait for, or when `close` is called. */
  drain(): Promise<void>
  close(): Promise<void>
}

/**
 * The key of a Streamer's door. A registered symbol, so that middleware loaded as CommonJS finds
 * the door of a Streamer loaded as ESM.
 */
export const DOOR: unique symbol = Symbol.for('unifrost.door') as never

/** The door of a Streamer. */
export function doorOf(streamer: object): Door {
  return (streamer as { [DOOR]: Door })[DOOR]
}

/** Whether this is a Streamer, of this copy of the package or another one. */
export function hasDoor(given: unknown): boolean {
  return typeof given === 'object' && given !== null && DOOR in given
}
