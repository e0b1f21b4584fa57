import type { Application, NextFunction, Request, RequestHandler, Response } from 'express'
import type { Streamer } from '../src/index.js'
import { doorOf, serve } from '../src/for-middleware.js'
import type { AuthenticateOptions } from './authenticate.js'
import { checkAuthenticateOptions, identify } from './authenticate.js'
import type { AutoClientOptions } from './auto-client.js'
import { assureClient, prepareAutoClient } from './auto-client.js'
import type { ClientsOptions } from './clients.js'
import { answerClients, checkClients } from './clients.js'
import { placeOfUser } from './elsewhere.js'
import { fail } from './express-errors.js'
import type { Answer, RequestContext, StreamOptions } from './request-context.js'
import type { OwnStreamerOptions } from './stream.js'
import { admitStream, checkStreamOptions, streamerFrom } from './stream.js'
import type { SubscriptionsOptions } from './subscriptions.js'
import { answerSubscriptions, prepareSubscriptions } from './subscriptions.js'

export type { AuthenticateOptions, TokenSource } from './authenticate.js'
export type { AutoClientOptions } from './auto-client.js'
export type { ClientsOptions } from './clients.js'
export type { Authorize, PrincipalOptions, StreamOptions } from './request-context.js'
export type { CrossSiteOptions } from '../src/for-middleware.js'
export type { JwtOptions } from './jwt.js'
export { jwt } from './jwt.js'
export type { Grant } from './patterns.js'
export { patterns } from './patterns.js'
export type { OwnStreamerOptions } from './stream.js'
export type { SubscriptionsOptions } from './subscriptions.js'
export type { WildcardOptions } from './wildcards.js'

/** A middleware with its Streamer. */
export type StreamHandler = RequestHandler & { readonly streamer: Streamer }

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
  const handler = handling(async (request, response) => {
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
): RequestHandler {
  checkAuthenticateOptions(options)
  return handling(async (request, _response, next) => {
    ;(request as Identified).auth = await identify(contextOf(request), options)
    next()
  })
}

/** Makes a client for each request that names none. Put it before `unifrostExpress`. */
export function autoClient<Principal = unknown>(
  streamer: Streamer,
  options: AutoClientOptions<Request, Principal> = {},
): RequestHandler {
  const rule = prepareAutoClient(streamer, options)
  return handling(async (request, response, next) => {
    const location = await assureClient(streamer, contextOf(request), options, response, rule)
    if (location === undefined) next()
    else
      send(response, { status: 307, headers: { Location: location, 'Cache-Control': 'no-store' } })
  })
}

/** `POST` makes a client, whose owner is the request's user. `DELETE` removes a client. */
export function clients<Principal = unknown>(
  streamer: Streamer,
  options: ClientsOptions<Request, Principal> = {},
): RequestHandler {
  checkClients(streamer, options)
  return handling(async (request, response) => {
    send(response, await answerClients(streamer, contextOf(request), options))
  })
}

/** `POST` changes a client's topics. `authorize` must allow each new one. */
export function subscriptions<Principal = unknown>(
  streamer: Streamer,
  options: SubscriptionsOptions<Request, Principal> = {},
): RequestHandler {
  const rule = prepareSubscriptions(streamer, options)
  return handling(async (request, response) => {
    send(response, await answerSubscriptions(streamer, contextOf(request), options, rule))
  })
}

type Identified = Request & { auth?: unknown; user?: unknown }

function contextOf(request: Request): RequestContext<Request> {
  const { auth, user } = request as Identified
  const parsedBody: unknown = request.body
  return {
    request,
    frameworkRequest: request,
    principal: auth ?? user,
    parsedBody,
    address: request.ip,
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
  const app = request.app as Application | undefined
  const isTrusted = app?.get('trust proxy fn') as
    ((address: string | undefined, distance: number) => boolean) | undefined
  const named = request.headers['x-forwarded-host']
  if (typeof named !== 'string' || !isTrusted?.(request.socket.remoteAddress, 0)) return undefined
  return named.split(',')[0]!.trim() || undefined
}

function send(response: Response, { status, headers = {}, body }: Answer): void {
  response.status(status).set('Cache-Control', 'no-store').set(headers)
  response.set('X-Content-Type-Options', 'nosniff')
  if (body === undefined) response.end()
  else response.json(body)
}

/** Hands a rejection to `next`, since Express 4 ignores promises. */
function handling(
  handle: (request: Request, response: Response, next: NextFunction) => Promise<void>,
): RequestHandler {
  return (request, response, next) => {
    handle(request, response, next).catch((error: unknown) => {
      fail(error, request, response, next)
    })
  }
}
