import type { ServerResponse } from 'node:http'
import type { Client } from '../delivery/client.js'
import { AuthenticationError, NoIdError, NotOwnerError, RequestGoneError } from '../errors.js'
import type { Door } from './door.js'
import type { AnyRequest } from './request.js'
import { checkRequest, lastEventIdOf, queryOf } from './request.js'
import type { AnyResponse } from './response-outlet.js'
import { ResponseOutlet } from './response-outlet.js'
import { seatOf, takeSeat } from './seats.js'

/** Options of `Streamer.handle`. */
export interface HandleOptions {
  /** The client's id. Default: the query's `id`. */
  id?: string | undefined
  /** The user who sends the request. Only its owner gets a client with an owner. Default: none. */
  owner?: string | undefined
  /**
   * When the request's token expires, in milliseconds since 1970. The stream then ends with
   * `token-expired`, and the client's TTL starts. Default: never.
   */
  expires?: number | undefined
  /** The network address for `maxConnectionsPerAddress`. Default: the socket's. */
  address?: string | undefined
}

/**
 * The headers of a stream. `no-transform` keeps middleware and proxies from compressing it, which
 * would buffer it. `X-Accel-Buffering` keeps nginx from buffering it.
 */
export const STREAM_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}

/**
 * Checks a request for a stream, and claims the client that it names. The request's room among the
 * open streams is taken from here on, until its response is over.
 *
 * @throws NoIdError, NotOwnerError, AuthenticationError, TooManyConnectionsError,
 *   RequestGoneError, and what {@link checkRequest} and {@link Door.claim} throw.
 */
export async function admit(
  door: Door,
  request: AnyRequest,
  response: AnyResponse,
  options: HandleOptions,
): Promise<Client> {
  checkRequest(request)
  const id = options.id ?? queryOf(request).get('id')
  if (id === null || id === '') throw new NoIdError()
  return door.claim(id, (owner) => {
    // If the browser has left, it may have reconnected to another server, which keeps the client.
    if (request.aborted || request.socket.destroyed) throw new RequestGoneError()
    if (owner !== undefined && owner !== options.owner) throw new NotOwnerError()
    if (options.expires !== undefined && options.expires <= Date.now()) {
      throw new AuthenticationError('The token has expired.', true)
    }
    takeSeat(door, { request, response, id, owner, address: addressOf(request, options) })
  })
}

/** Answers a request with a client's stream. The response's headers have not been sent. */
export function serve(
  door: Door,
  client: Client,
  request: AnyRequest,
  response: AnyResponse,
  options: HandleOptions,
): void {
  // `request.destroyed` would not do: it is also true once the body has been read.
  if (response.headersSent || response.destroyed || request.socket.destroyed) {
    door.abandon(client)
    return
  }
  for (const [name, value] of Object.entries(STREAM_HEADERS)) response.setHeader(name, value)
  response.statusCode = 200
  if (request.method === 'HEAD') {
    response.end()
    door.abandon(client)
    return
  }
  openStream(door, client, request, response, options)
}

/**
 * Sends the headers and opens the stream.
 *
 * @param end Ends the stream in place of `response.end()`.
 */
export function openStream(
  door: Door,
  client: Client,
  request: AnyRequest,
  response: AnyResponse,
  options: HandleOptions,
  end?: () => void,
): void {
  const { socket } = request
  if (request.httpVersionMajor === 1) {
    // The application's time-out for hanging requests must not end a quiet stream.
    socket.setTimeout(0)
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 30_000)
  }
  // HTTP/2's compatibility response has this method too; its types lack it.
  const { flushHeaders } = response as Partial<ServerResponse>
  flushHeaders?.call(response)
  door.attach(client, new ResponseOutlet(response, end), {
    position: lastEventIdOf(request),
    address: addressOf(request, options),
    lifetime: options.expires === undefined ? undefined : options.expires - Date.now(),
    seat: seatOf(request),
  })
}

function addressOf(request: AnyRequest, { address }: HandleOptions): string | undefined {
  return address ?? request.socket.remoteAddress
}
