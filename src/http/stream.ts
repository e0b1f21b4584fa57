import type { Socket } from 'node:net'
import type { Client } from '../delivery/client.js'
import { AuthenticationError, NoIdError, NotOwnerError, RequestGoneError } from '../errors.js'
import type { Arrival } from '../service/clients.js'
import type { Plan } from '../service/rechecks.js'
import type { Visit } from '../service/rights.js'
import { isOwner } from '../service/owner.js'
import type { OptionCheck } from '../option-checks.js'
import { checkOptions, refuse, text } from '../option-checks.js'
import type { CrossSiteOptions } from './cross-site.js'
import { checkSite, originsCheck } from './cross-site.js'
import type { Door } from './door.js'
import { checkHead, sendHead } from './head.js'
import type { AnyRequest, MethodOptions } from './request.js'
import { checkRequest, lastEventIdOf, METHODS_CHECK, queryOf } from './request.js'
import type { AnyResponse } from './response-outlet.js'
import { ResponseOutlet } from './response-outlet.js'
import { handSeatOver, takeSeat } from './seats.js'
import { sessionEnd } from './session-end.js'
import { noteSession } from './sessions.js'
import { STREAM_HEADERS } from './stream-headers.js'

/** Options of `Streamer.handle`. */
export interface HandleOptions extends CrossSiteOptions, MethodOptions {
  /**
   * The client's id. Where it is named, it alone counts, and undefined is an error. Default: the
   * query's `id`.
   */
  id?: string
  /** The user who sends the request, for `authorize`. Default: `owner`. */
  principal?: unknown
  /**
   * The user who sends the request. Only its owner gets a client with an owner. Default, or false:
   * nobody.
   */
  owner?: string | false | undefined
  /**
   * When the request's token expires, in milliseconds since 1970. The stream then ends with
   * `token-expired`, and the client's TTL starts. Default: never.
   */
  expires?: number | undefined
  /**
   * The log-in that the request belongs to, such as a session's id, for `revoke({ session })`.
   * Default: none.
   */
  session?: string | undefined
  /**
   * When the request's token was issued, in seconds since 1970: a token that was issued after
   * `revoke` is not refused. Default: not known, so it is refused for as long as `revoke` says.
   */
  issuedAt?: number | undefined
  /** The network address for `maxConnectionsPerAddress`. Default: the socket's. */
  address?: string | undefined
  /**
   * The host that the browser asked for, with which its page's `Origin` is compared. Default: the
   * request's `Host`. Give it behind a proxy that changes `Host`.
   */
  host?: string | undefined
}

/** What `expires` takes, in words for an error. */
export const EXPIRES = 'milliseconds since 1970, or undefined for never'

const HANDLE_OPTIONS = {
  id: [(value) => typeof value === 'string' && value !== '', 'the id of a client', { given: true }],
  principal: [() => true, 'the user who sends the request'],
  owner: [
    (value) => value === false || isOwner(value),
    'the name of an owner, or false for nobody',
    { given: true },
  ],
  expires: [isExpiry, EXPIRES],
  session: text,
  issuedAt: [isIssueTime, 'seconds since 1970'],
  address: [(value) => typeof value === 'string', 'a network address'],
  host: [(value) => typeof value === 'string' && value !== '', 'a host, such as app.example:8080'],
  origins: originsCheck,
  methods: METHODS_CHECK,
} satisfies Record<keyof HandleOptions, OptionCheck>

/** Whether this says when a token expires. A number after the year 5000 is of another unit. */
export function isExpiry(value: unknown): value is number | undefined {
  return (
    value === undefined ||
    value === Infinity ||
    (Number.isFinite(value) && (value as number) < 1e14)
  )
}

/** Whether this says when a token was issued. A number after the year 5000 is of another unit. */
export function isIssueTime(value: unknown): value is number {
  return Number.isFinite(value) && (value as number) < 1e11
}

/** Checks the arguments of `Streamer.handle`. @throws OptionsError */
export function checkHandleOptions(options: HandleOptions): void {
  checkOptions('handle', options, HANDLE_OPTIONS)
}

/** @throws OptionsError for what is not Node's request and response, such as a framework's own. */
export function checkPair(caller: string, request: AnyRequest, response: AnyResponse): void {
  const { headers } = Object(request) as { headers?: unknown }
  const { setHeader, end } = Object(response) as { setHeader?: unknown; end?: unknown }
  const takes = "of Node's; with Fastify, request.raw and reply.raw"
  if (typeof headers !== 'object') refuse(caller, 'request', request, `a request ${takes}`)
  if (typeof setHeader !== 'function' || typeof end !== 'function') {
    refuse(caller, 'response', response, `a response ${takes}`)
  }
}

/**
 * Checks a request for a stream, and claims the client that it names. The request's room among the
 * open streams is taken from here on, until its response is over.
 *
 * @throws CrossSiteError, NoIdError, NotOwnerError, AuthenticationError, RevokedError,
 *   TooManyConnectionsError, RequestGoneError, and what {@link checkRequest} and {@link Door.claim}
 *   throw.
 */
export async function admit(
  door: Door,
  request: AnyRequest,
  response: AnyResponse,
  options: AdmitOptions,
): Promise<Client> {
  checkRequest(request, options)
  checkSite(request, options)
  const id = options.id ?? queryOf(request).get('id')
  if (id === null || id === '') throw new NoIdError()
  const { session, issuedAt } = options
  const user = options.owner === false ? undefined : options.owner
  const logIn = { id, owner: user, session, issuedAt }
  door.checkRevoked(logIn)
  const client = await door.claim(id, (owner) => {
    // If the browser has left, it may have reconnected to another server, which keeps the client.
    if (request.aborted || request.socket.destroyed) throw new RequestGoneError()
    if (owner !== undefined && owner !== options.owner) throw new NotOwnerError()
    if (options.expires !== undefined && options.expires <= Date.now()) {
      throw new AuthenticationError('The token has expired.', true)
    }
    takeSeat(door, { request, response, id, owner, address: addressOf(request, options) })
    door.checkRevoked(logIn)
  })
  const { principal = options.owner || undefined } = options
  try {
    await door.enter(client, options.visit ?? { principal, request }, options.plan)
    // Its log-in may have been revoked while the client was on its way here.
    door.checkRevoked(logIn)
  } catch (error) {
    door.abandon(client)
    throw error
  }
  door.noteLogIn(client, logIn)
  return client
}

/** What the middleware knows of a request beside the options of `handle`. */
export interface AdmitOptions extends HandleOptions {
  visit?: Visit
  /** The topics that `autoClient` has found for the request. */
  plan?: Plan | undefined
}

/**
 * Answers a request with a client's stream.
 *
 * @throws OptionsError if the response has sent headers that are not a stream's.
 */
export function serve(
  door: Door,
  client: Client,
  request: AnyRequest,
  response: AnyResponse,
  options: HandleOptions,
): void {
  // `request.destroyed` would not do: it is also true once the body has been read.
  if (response.writableEnded || response.destroyed || request.socket.destroyed) {
    door.abandon(client)
    return
  }
  checkHead(door, client, response)
  if (!response.headersSent) {
    for (const [name, value] of Object.entries(STREAM_HEADERS)) response.setHeader(name, value)
    response.statusCode = 200
  }
  if (request.method === 'HEAD') {
    response.end()
    door.abandon(client)
    return
  }
  openStream(door, client, request, response, options, sessionEnd(request, response))
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
  beginStream(request, response)
  noteSession(door, response)
  door.attach(client, new ResponseOutlet(response, end), arrivalOf(request, options))
}

/** Sends the headers of a stream, which stays open for as long as it takes. */
export function beginStream(request: AnyRequest, response: AnyResponse): void {
  if (request.httpVersionMajor === 1) {
    const socket: Partial<Socket> = request.socket
    // The application's time-out for hanging requests must not end a quiet stream. A request that
    // was injected, as in tests, has no real socket.
    socket.setTimeout?.(0)
    socket.setNoDelay?.(true)
    socket.setKeepAlive?.(true, 30_000)
    // The stream's end is the connection's end, so that the next request finds another server.
    if (!response.headersSent) response.setHeader?.('Connection', 'close')
  }
  sendHead(response)
}

/** What a request for a stream says of it. */
export function arrivalOf(request: AnyRequest, options: HandleOptions): Arrival {
  return {
    position: lastEventIdOf(request),
    address: addressOf(request, options),
    lifetime: options.expires === undefined ? undefined : options.expires - Date.now(),
    seat: handSeatOver(request),
    conflate: ['', '1', 'true'].includes(queryOf(request).get('conflate') ?? '0'),
  }
}

function addressOf(request: AnyRequest, { address }: HandleOptions): string | undefined {
  // An empty address is none.
  return address || request.socket.remoteAddress
}
