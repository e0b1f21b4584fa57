import type { ServerResponse } from 'node:http'
import type { Client } from '../delivery/client.js'
import { AuthenticationError, NoIdError, NotOwnerError, RequestGoneError } from '../errors.js'
import type { Door } from './door.js'
import type { AnyRequest } from './request.js'
import { checkRequest, lastEventIdOf, queryOf } from './request.js'
import type { AnyResponse } from './response-outlet.js'
import { ResponseOutlet } from './response-outlet.js'

/** What `Streamer.handle` may be told beside the request. */
export interface HandleOptions {
  /** The client to serve. Default: the query's `id`. */
  id?: string | undefined
  /** Who asks. A client that has an owner is served to that owner only. Default: nobody known. */
  owner?: string | undefined
  /**
   * When the proof of who asks expires, in milliseconds since 1970. The stream ends then, with
   * `token-expired`; the client lives on for its TTL. Default: never.
   */
  expires?: number | undefined
  /** The network address to count the stream for. Default: the socket's. */
  address?: string | undefined
}

/**
 * `no-transform` keeps compressing middleware and proxies off, which would buffer;
 * `X-Accel-Buffering` does so for nginx.
 */
export const STREAM_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}

/**
 * The client that a request may have the stream of.
 *
 * @throws NoIdError, NotOwnerError, AuthenticationError, TooManyConnectionsError,
 *   RequestGoneError, and what {@link checkRequest} and {@link Door.claim} throw.
 */
export async function admit(
  door: Door,
  request: AnyRequest,
  options: HandleOptions,
): Promise<Client> {
  checkRequest(request)
  const id = options.id ?? queryOf(request).get('id')
  if (id === null || id === '') throw new NoIdError()
  return door.claim(id, (owner) => {
    // A browser that has left may have a stream at another server by now: it stays there.
    if (request.aborted || request.socket.destroyed) throw new RequestGoneError()
    if (owner !== undefined && owner !== options.owner) throw new NotOwnerError()
    if (options.expires !== undefined && options.expires <= Date.now()) {
      throw new AuthenticationError('The token has expired.', true)
    }
    door.checkRoom(id, owner, addressOf(request, options))
  })
}

/** Serves a client's stream on a response of Node's whose headers have not been sent. */
export function serve(
  door: Door,
  client: Client,
  request: AnyRequest,
  response: AnyResponse,
  options: HandleOptions,
): void {
  // Not `request.destroyed`, which is also true once its body has been read.
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
 * Sends the headers and opens the stream behind them.
 *
 * @param end Called when the stream is to end, in place of ending the response.
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
    // Whatever limit the app has for requests, a quiet stream is not one that hangs.
    socket.setTimeout(0)
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 30_000)
  }
  // HTTP/2's compatibility response has it too, whatever its types say.
  const { flushHeaders } = response as Partial<ServerResponse>
  flushHeaders?.call(response)
  door.attach(client, new ResponseOutlet(response, end), {
    position: lastEventIdOf(request),
    address: addressOf(request, options),
    lifetime: options.expires === undefined ? undefined : options.expires - Date.now(),
  })
}

function addressOf(request: AnyRequest, { address }: HandleOptions): string | undefined {
  return address ?? request.socket.remoteAddress
}
