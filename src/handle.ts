import { STATUS_CODES } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { Client } from './client.js'
import {
  AuthenticationError,
  MethodError,
  NoIdError,
  NotAcceptableError,
  NotOwnerError,
  RequestGoneError,
  UnifrostError,
} from './errors.js'
import type { AnyResponse } from './response-outlet.js'
import { ResponseOutlet } from './response-outlet.js'
import type { Streamer } from './streamer.js'

/** A request of Node's, over HTTP/1 or through HTTP/2's compatibility API. */
export type AnyRequest = IncomingMessage | Http2ServerRequest

/** What `Streamer.handle` may be told beside the request. */
export interface HandleOptions {
  /** The client to serve. Default: the query's `id`. */
  id?: string | undefined
  /** Who asks. A client that has an owner is served to that owner only. Default: nobody known. */
  owner?: string | undefined
  /**
   * When what proves who asks expires, in milliseconds since 1970. The stream ends then, with
   * `token-expired`; the client lives on for its TTL. Default: never.
   */
  expires?: number | undefined
  /** The network address to count the stream for. Default: the socket's. */
  address?: string | undefined
}

/**
 * `no-transform` keeps compressing middleware and proxies off, which would buffer;
 * `X-Accel-Buffering` does the same for nginx.
 */
export const STREAM_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}

/** The request's query, however its framework has changed `req.query`. */
export function queryOf(request: AnyRequest): URLSearchParams {
  const url = request.url ?? ''
  const mark = url.indexOf('?')
  return new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1))
}

/** What the client says it got last: the header, which a browser keeps up to date, or the query. */
export function positionOf(request: AnyRequest): string | undefined {
  const header = request.headers['last-event-id']
  const named = typeof header === 'string' ? header : queryOf(request).get('last_event_id')
  return named === null || named === '' ? undefined : named
}

/** @throws MethodError, NotAcceptableError for a request that can't get a stream. */
export function checkRequest(request: AnyRequest): void {
  const method = request.method ?? 'GET'
  if (method !== 'GET' && method !== 'HEAD') throw new MethodError(method, ['GET', 'HEAD'])
  if (!accepts(request.headers.accept, 'text', 'event-stream')) throw new NotAcceptableError()
}

/**
 * The client that a request may have the stream of: at once, where there is no directory to ask.
 *
 * @throws NoIdError, NoClientError, NotOwnerError, AuthenticationError, TooManyConnectionsError,
 *   and what {@link checkRequest} throws.
 */
export function admit(
  streamer: Streamer,
  request: AnyRequest,
  options: HandleOptions,
): Client | Promise<Client> {
  checkRequest(request)
  const id = options.id ?? queryOf(request).get('id')
  if (id === null || id === '') throw new NoIdError()
  return streamer.claim(id, (owner) => {
    // Who has gone may have a stream at another server by now, which must not be taken from there.
    if (request.aborted || request.socket.destroyed) throw new RequestGoneError()
    if (owner !== undefined && owner !== options.owner) throw new NotOwnerError()
    if (options.expires !== undefined && options.expires <= Date.now()) {
      throw new AuthenticationError('The token has expired.', true)
    }
    streamer.checkRoom(streamer.getClient(id), owner, addressOf(request, options))
  })
}

/** Serves a client's stream on a response of Node's whose headers have not been sent. */
export function serve(
  streamer: Streamer,
  client: Client,
  request: AnyRequest,
  response: AnyResponse,
  options: HandleOptions,
): void {
  // Not `request.destroyed`, which is also true once its body has been read.
  if (response.headersSent || response.destroyed || request.socket.destroyed) {
    streamer.abandon(client)
    return
  }
  for (const [name, value] of Object.entries(STREAM_HEADERS)) response.setHeader(name, value)
  response.statusCode = 200
  if (request.method === 'HEAD') {
    response.end()
    streamer.abandon(client)
    return
  }
  openStream(streamer, client, request, response, options)
}

/**
 * Sends the headers and opens the stream behind them.
 *
 * @param end Called when the stream is to end, in place of ending the response.
 */
export function openStream(
  streamer: Streamer,
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
  streamer.attach(client, new ResponseOutlet(response, end), {
    position: positionOf(request),
    address: addressOf(request, options),
    lifetime: options.expires === undefined ? undefined : options.expires - Date.now(),
  })
}

function addressOf(request: AnyRequest, { address }: HandleOptions): string | undefined {
  return address ?? request.socket.remoteAddress
}

/** The answer to a request that failed: JSON, and nothing that is not meant for who asked. */
export function sendError(response: AnyResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const { status, headers, body } = publicError(error)
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  const text = JSON.stringify(body)
  response.setHeader('Content-Type', 'application/json; charset=utf-8')
  response.setHeader('Content-Length', Buffer.byteLength(text))
  response.setHeader('Cache-Control', 'no-store')
  response.end(text)
}

/** What of an error may be shown over HTTP. */
export function publicError(error: unknown): {
  status: number
  headers: Record<string, string>
  body: { error: { code: string; message: string } }
} {
  const ours = error instanceof UnifrostError ? error : undefined
  const status = ours?.status ?? 500
  const code = ours?.code ?? 'ERR_UNIFROST_INTERNAL'
  const message = ours?.expose ? ours.message : (STATUS_CODES[status] ?? 'Error')
  return { status, headers: ours?.headers ?? {}, body: { error: { code, message } } }
}

/** Whether an `Accept` header admits a type (RFC 9110, section 12.5.1). */
export function accepts(header: string | undefined, type: string, subtype: string): boolean {
  if (header === undefined || header.trim() === '') return true
  let best = { precision: -1, admitted: false }
  for (const part of header.split(',')) {
    const [range = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase())
    const precision = [`*/*`, `${type}/*`, `${type}/${subtype}`].indexOf(range)
    if (precision <= best.precision) continue
    const weight = parameters.find((parameter) => /^q\s*=/.test(parameter))?.split('=')[1]
    best = { precision, admitted: weight === undefined || Number(weight) > 0 }
  }
  return best.admitted
}
