import type { Application, NextFunction, Request, RequestHandler, Response } from 'express'
import type { Streamer } from '../src/index.js'
import { UnifrostError } from '../src/index.js'
import { doorOf, isExposed, sendError, serve } from '../src/for-middleware.js'
import type { AuthenticateOptions } from './authenticate.js'
import { checkAuthenticateOptions, identify } from './authenticate.js'
import type { AutoClientOptions } from './auto-client.js'
import { assureClient, prepareAutoClient } from './auto-client.js'
import type { ClientsOptions } from './clients.js'
import { answerClients } from './clients.js'
import type { Answer, RequestContext, StreamOptions } from './request-context.js'
import type { OwnStreamerOptions } from './stream.js'
import { admitStream, streamerFrom } from './stream.js'
import type { SubscriptionsOptions } from './subscriptions.js'
import { answerSubscriptions, prepareSubscriptions } from './subscriptions.js'

export type { AuthenticateOptions, TokenSource } from './authenticate.js'
export type { AutoClientOptions } from './auto-client.js'
export type { ClientsOptions } from './clients.js'
export type { Authorize, PrincipalOptions, StreamOptions } from './request-context.js'
export type { CrossSiteOptions } from './cross-site.js'
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
  const streamer = streamerFrom(given)
  const handler = handling(async (request, response) => {
    const { client, terms } = await admitStream(streamer, contextOf(request), options)
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
  }
}

function send(response: Response, { status, headers = {}, body }: Answer): void {
  response.status(status).set('Cache-Control', 'no-store').set(headers)
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

/**
 * Leaves the answer to the application's error handler. If it has none, answers with the error in
 * JSON: Express's own handler would send the stack.
 */
function fail(error: unknown, request: Request, response: Response, next: NextFunction): void {
  const app = request.app as Application | undefined
  if (app === undefined || handlesErrors(app)) {
    next(error)
    return
  }
  sendError(response, error)
  const expected = (error instanceof UnifrostError && error.expose) || isExposed(error)
  // Express's own handler then only logs the error, since the answer has been sent.
  if (!expected) response.once('finish', () => next(error))
}

interface Layer {
  handle?: ((...args: unknown[]) => unknown) & { stack?: Layer[] }
}

function handlesErrors(app: Application & { parent?: Application }): boolean {
  // Express 4 keeps the router in `_router`; there, reading `router` throws.
  const { _router: router } = app as { _router?: { stack?: Layer[] } }
  const stack = router?.stack ?? (app.router as { stack?: Layer[] } | undefined)?.stack ?? []
  return hasErrorLayer(stack) || (app.parent !== undefined && handlesErrors(app.parent))
}

function hasErrorLayer(stack: Layer[]): boolean {
  return stack.some(({ handle }) => handle?.length === 4 || hasErrorLayer(handle?.stack ?? []))
}
