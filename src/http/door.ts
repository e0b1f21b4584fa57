import type { Client } from '../delivery/client.js'
import type { Outlet } from '../delivery/connection.js'
import type { Arrival } from '../service/clients.js'
import type { OwnerCheck } from '../service/commands.js'

/**
 * What a request for a stream may ask of a Streamer. Each request goes through it in one
 * direction: `checkRoom` and `claim`, then either `attach` or `abandon`.
 *
 * ```text
 * GET /events?id=a ──▶ claim('a') ──▶ headers are sent ──▶ attach(client)
 *                          └──▶ the browser has left by now ──▶ abandon(client)
 * ```
 */
export interface Door {
  /**
   * Takes a client for a new stream; with a `directory` also from the server that has it. Call
   * `attach` or `abandon` with it afterwards.
   *
   * @param check Throws where the request may not have a client of this owner.
   * @throws NoClientError, what `check` throws; with a `directory` StreamerClosedError,
   *   TooManyClientsError, DirectoryUnavailableError.
   */
  claim(id: string, check: OwnerCheck): Promise<Client>
  /** Opens a client's stream. A stream that the client has already is replaced. */
  attach(client: Client, outlet: Outlet, arrival: Arrival): void
  /** Gives back a client whose request got no stream. An automatic client is removed. */
  abandon(client: Client): void
  /**
   * @param id The client whose stream it is to be, or undefined for a client not made yet.
   * @throws TooManyConnectionsError when one stream more would be over a limit.
   */
  checkRoom(id: string | undefined, owner: string | undefined, address: string | undefined): void
}

/**
 * Where a Streamer keeps its door. A registered symbol, so that a middleware of the package's
 * CommonJS copy finds the door of a Streamer of its ESM copy.
 */
export const DOOR: unique symbol = Symbol.for('unifrost.door') as never

/** The door of a Streamer. */
export function doorOf(streamer: object): Door {
  return (streamer as { [DOOR]: Door })[DOOR]
}

/** Whether this is a Streamer, of this copy of the package or of another one. */
export function hasDoor(given: unknown): boolean {
  return typeof given === 'object' && given !== null && DOOR in given
}
