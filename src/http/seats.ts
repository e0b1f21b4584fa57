import type { Seat } from '../service/connections.js'
import { RequestGoneError } from '../errors.js'
import type { Door } from './door.js'
import type { AnyRequest } from './request.js'
import type { AnyResponse } from './response-outlet.js'
import { queueOf } from './response-outlet.js'

/** What a request has taken among the open streams. */
interface Taken {
  seat: Seat
  /** Lets go of what would give it back when the response is over. */
  release: () => void
}

/** The room that requests have taken, until a connection has it. */
const seats = new WeakMap<AnyRequest, Taken>()

/** A request that is to get a stream. */
export interface Asking {
  request: AnyRequest
  response: AnyResponse
  /** The client of the stream, or undefined if it is not made yet. */
  id?: string | undefined
  owner: string | undefined
  address: string | undefined
}

/**
 * Takes room for a request's stream, unless the request has it already: `autoClient` takes it before
 * it asks anybody. It is given back when the response is over, whoever has answered by then.
 *
 * @throws TooManyConnectionsError; RequestGoneError if the response is over.
 */
export function takeSeat(door: Door, { request, response, id, owner, address }: Asking): void {
  const held = seats.get(request)
  if (held?.seat.isOpen && held.seat.isFor(owner, address)) return
  held?.release()
  held?.seat.leave()
  // Its end has been told already, so nothing would give the room back.
  if (response.destroyed) throw new RequestGoneError()
  const seat = door.takeSeat(id, owner, address)
  // Node emits no `close` on a response that still waits when its socket closes.
  const queue = queueOf(response)
  const release = () => {
    queue?.off('close', leave)
    response.off('close', leave)
  }
  const leave = () => {
    release()
    seat.leave()
  }
  response.once('close', leave)
  queue?.once('close', leave)
  seats.set(request, { seat, release })
}

/**
 * The room that a request has taken, if it has, for the connection that is made of it. The connection
 * gives it back, so nothing of the request is kept for that any more.
 */
export function handSeatOver(request: AnyRequest): Seat | undefined {
  const taken = seats.get(request)
  seats.delete(request)
  taken?.release()
  return taken?.seat
}
