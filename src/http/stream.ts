import type { ServerResponse } from 'node:http'
import type { Client } from '../delivery/client.js'
import {
  AuthenticationError,
  NoIdError,
  NotOwnerError,
  OptionsError,
  RequestGoneError,
} from '../errors.js'
import type { Plan } from '../service/rechecks.js'
import type { Visit } from '../service/rights.js'
import type { Door } from './door.js'
import type { AnyRequest } from './request.js'
import { checkRequest, lastEventIdOf, queryOf } from './request.js'
import type { AnyResponse } from './response-outlet.js'
import { ResponseOutlet } from './response-outlet.js'

/** Options of `Streamer.handle`. */
export interface HandleOptions {
  /**
   * The client's id. Where it is named, it alone counts, and undefined is an error. Default: the
   * query's `id`.
   */
  id?: string
  /** The user who sends the request, for `authorize`. Default: `owner`. */
  principal?: unknown
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
 * Checks a request for a stream, and claims the client that it names.
 *
 * @throws NoIdError, NotOwnerError, AuthenticationError, TooManyConnectionsError,
 *   RequestGoneError, and what {@link checkRequest} and {@link Door.claim} throw.
 */
export async function admit(
  door: Door,
  request: AnyRequest,
  options: AdmitOptions,
): Promise<Client> {
  checkRequest(request)
  const id = idFor(request, options)
  const client = await door.claim(id, (owner) => {
    // If the browser has left, it may have reconnected to another server, which keeps the client.
    if (request.aborted || request.socket.destroyed) throw new RequestGoneError()
    if (owner !== undefined && owner !== options.owner) throw new NotOwnerError()
    if (options.expires !== undefined && options.expires <= Date.now()) {
      throw new AuthenticationError('The token has expired.', true)
    }
    door.checkRoom(id, owner, addressOf(request, options))
  })
  const { principal = options.owner } = options
  try {
    await door.enter(client, options.visit ?? { principal, request }, options.plan)
  } catch (error) {
    door.abandon(client)
    throw error
  }
  return client
}

/** What the middleware knows of a request beside the options of `handle`. */
export interface AdmitOptions extends HandleOptions {
  visit?: Visit
  /** The topics that `autoClient` has found for the request. */
  plan?: Plan | undefined
}

function idFor(request: AnyRequest, options: HandleOptions): string {
  if (!('id' in options)) {
    const named = queryOf(request).get('id')
    if (named === null || named === '') throw new NoIdError()
    return named
  }
  const { id } = options as { id?: unknown }
  if (typeof id === 'string' && id !== '') return id
  const got = id === '' ? 'an empty string' : id === null ? 'null' : typeof id
  throw new OptionsError(
    `handle's id takes the id of a client; it got ${got}. Leave it out to take the query's id.`,
  )
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
  })
}

function addressOf(request: AnyRequest, { address }: HandleOptions): string | undefined {
  return address ?? request.socket.remoteAddress
}
