import type { Request } from 'express'
import type { AnyRequest, AnyResponse, Streamer } from '../src/index.js'
import { checkPair, doorOf, refuse, sendPassingRefusal, serve } from '../src/for-middleware.js'
import type { AuthenticateOptions } from './authenticate.js'
import { checkAuthenticateOptions, identify } from './authenticate.js'
import type { AutoClientOptions } from './auto-client.js'
import { assureClient, prepareAutoClient } from './auto-client.js'
import type { ClientsOptions } from './clients.js'
import { answerClients, checkClients } from './clients.js'
import { placeOfUser } from './elsewhere.js'
import type { Next } from './express-errors.js'
import { expressAppOf, fail } from './express-errors.js'
import type { RequestContext, StreamOptions } from './request-context.js'
import { sendAnswer } from './send-answer.js'
import type { OwnStreamerOptions } from './stream.js'
import { admitStream, checkStreamOptions, streamerFrom } from './stream.js'
import type { SubscriptionsOptions } from './subscriptions.js'
import { answerSubscriptions, prepareSubscriptions } from './subscriptions.js'

export type { AuthenticateOptions, TokenSource } from './authenticate.js'
export type { AutoClientOptions } from './auto-client.js'
export type { ClientsOptions } from './clients.js'
export type { Authorize, PrincipalOptions, StreamOptions } from './request-context.js'
export type { CrossSiteOptions } from '../src/for-middleware.js'
export type { JwtOptions, JwtPayload } from './jwt.js'
export { jwt } from './jwt.js'
export type { Grant } from './patterns.js'
export { patterns } from './patterns.js'
export type { HeaderTarget } from './position.js'
export { setPosition } from './position.js'
export type { OwnStreamerOptions } from './stream.js'
export type { SubscriptionsOptions } from './subscriptions.js'
export type { SnapshotOptions, SnapshotPayload } from './snapshots.js'
export type { WildcardOptions } from './wildcards.js'

/**
 * A middleware of Express. It uses nothing but Node's request and response, so connect, middie and
 * the like take it as well, and a listener of `node:http` may call it. Without `next` it answers
 * its errors itself, in JSON.
 */
export type Handler = (request: AnyRequest, response: AnyResponse, next?: Next) => void

/** A middleware with its Streamer. */
export type StreamHandler = Handler & { readonly streamer: Streamer }

/**
 * Streams the events of the client that `?id=` names, or that `autoClient` has made.
 *
 * @param given A Streamer, or the options to make one. It is then the middleware's `streamer`.
 */
export function unifrostExpress<Principal = unknown>(
  given?: Streamer | OwnStreamerOptions,
  options: StreamOptions<Request, Principal> = {},
): StreamHandler {
  checkStreamOptions('unifrostExpress', options)
  const streamer = streamerFrom(given)
  const handler = handling(streamer, async (request, response) => {
    const { client, terms } = await admitStream(streamer, contextOf(request), response, options)
    serve(doorOf(streamer), client, request, response, terms)
  })
  return Object.assign(handler, { streamer })
}

/**
 * Lets through only requests with a valid token, and sets `req.auth` to its principal.
 *
 * @throws OptionsError
 */
export function authenticate<Principal = unknown>(
  options: AuthenticateOptions<Request, Principal>,
): Handler {
  checkAuthenticateOptions(options)
  return handling(undefined, async (request, _response, next) => {
    ;(request as Identified).auth = await identify(contextOf(request), options)
    goOn('authenticate', next)
  })
}

/** Makes a client for each request that names none. Put it before `unifrostExpress`. */
export function autoClient<Principal = unknown>(
  streamer: Streamer,
  options: AutoClientOptions<Request, Principal> = {},
): Handler {
  const rule = prepareAutoClient(streamer, options)
  return handling(streamer, async (request, response, next) => {
    const location = await assureClient(streamer, contextOf(request), options, response, rule)
    if (location === undefined) goOn('autoClient', next)
    else sendAnswer(response, { status: 307, headers: { Location: location } })
  })
}

/** `POST` makes a client, whose owner is the request's user. `DELETE` removes a client. */
export function clients<Principal = unknown>(
  streamer: Streamer,
  options: ClientsOptions<Request, Principal> = {},
): Handler {
  checkClients(streamer, options)
  return handling(streamer, async (request, response) => {
    sendAnswer(response, await answerClients(streamer, contextOf(request), options))
  })
}

/** `POST` changes a client's topics. `authorize` must allow each new one. */
export function subscriptions<Principal = unknown>(
  streamer: Streamer,
  options: SubscriptionsOptions<Request, Principal> = {},
): Handler {
  const rule = prepareSubscriptions(streamer, options)
  return handling(streamer, async (request, response) => {
    sendAnswer(response, await answerSubscriptions(streamer, contextOf(request), options, rule))
  })
}

type Identified = Request & { auth?: unknown; user?: unknown }

function contextOf(request: Request): RequestContext<Request> {
  const { auth, user } = request as Identified
  return {
    request,
    frameworkRequest: request,
    principal: auth ?? user,
    // Read when it is needed: a stream keeps its context for hours, and need not keep the body.
    get parsedBody(): unknown {
      return request.body as unknown
    },
    // Only Express and Fastify set `ip`, by their proxy settings.
    address: (request as Partial<Request>).ip || request.socket.remoteAddress,
    host: hostOf(request),
    elsewhere: () => elsewhere(request),
  }
}

/** Where users stand who are not at `req.auth` or `req.user`. */
const PLACES = [
  'session.user',
  'session.userId',
  'session.passport.user',
  'res.locals.user',
  'currentUser',
  'userId',
]

function elsewhere(request: Request): string | undefined {
  return placeOfUser(request, 'req', PLACES)
}

/** The host that the browser asked for. Express 4's `req.host` has no port, so it is of no use. */
function hostOf(request: Request): string | undefined {
  const named = request.headers['x-forwarded-host']
  const isTrusted = expressAppOf(request)?.settings['trust proxy fn']
  if (typeof named !== 'string' || !isTrusted?.(request.socket.remoteAddress, 0)) return undefined
  return named.split(',')[0]!.trim() || undefined
}

/** Hands a rejection to `next`, since Express 4 ignores promises. */
function handling(
  streamer: Streamer | undefined,
  handle: (request: Request, response: AnyResponse, next: Next | undefined) => Promise<void>,
): Handler {
  return (request, response, next) => {
    checkPair('The middleware', request, response)
    handle(request as Request, response, next).catch((error: unknown) => {
      const door = streamer && doorOf(streamer)
      if (sendPassingRefusal(door, request, response, error)) return
      fail(error, request, response, next, streamer)
    })
  }
}

function goOn(caller: string, next: Next | undefined): void {
  if (typeof next !== 'function')
    refuse(caller, 'next', next, 'a function that answers the request')
  next()
}
