import type { Seat } from '../service/connections.js'
import { RequestGoneError } from '../errors.js'
import type { Door } from './door.js'
import type { AnyRequest } from './request.js'
import type { AnyResponse } from './response-outlet.js'
import { queueOf } from './response-outlet.js'

/** The room that requests have taken among the open streams. */
const seats = new WeakMap<AnyRequest, Seat>()

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
  if (held?.isOpen && held.isFor(owner, address)) return
  held?.leave()
  // Its end has been told already, so nothing would give the room back.
  if (response.destroyed) throw new RequestGoneError()
  const seat = door.takeSeat(id, owner, address)
  seats.set(request, seat)
  // Node emits no `close` on a response that still waits when its socket closes.
  const queue = queueOf(response)
  const leave = () => {
    queue?.off('close', leave)
    seat.leave()
  }
  response.once('close', leave)
  queue?.once('close', leave)
}

/** The room that a request has taken, if it has. */
export function seatOf(request: AnyRequest): Seat | undefined {
  return seats.get(request)
}
