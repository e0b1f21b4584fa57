import type { Streamer } from '../src/index.js'
import { checkOptions, given, isThenable, refuse } from '../src/for-middleware.js'
import type { AuthenticateOptions } from './authenticate.js'
import { checkAuthenticateOptions, identify } from './authenticate.js'
import type { AutoClientOptions } from './auto-client.js'
import { assureClient, prepareAutoClient } from './auto-client.js'
import type { ClientsOptions } from './clients.js'
import { answerClients, checkClients } from './clients.js'
import { placeOfUser } from './elsewhere.js'
import type { ErrorPage, Exchange, FetchContext } from './fetch-exchange.js'
import { checkBody, contextNoted, exchangeOf, noteContext } from './fetch-exchange.js'
import type { RequestContext, StreamOptions } from './request-context.js'
import type { OwnStreamerOptions } from './stream.js'
import { admitStream, checkStreamOptions, streamerFrom } from './stream.js'
import type { SubscriptionsOptions } from './subscriptions.js'
import { answerSubscriptions, prepareSubscriptions } from './subscriptions.js'

export type { AuthenticateOptions, TokenSource } from './authenticate.js'
export type { AutoClientOptions } from './auto-client.js'
export type { ClientsOptions } from './clients.js'
export type { ErrorPage, FetchContext } from './fetch-exchange.js'
export type { Authorize, PrincipalOptions, StreamOptions } from './request-context.js'
export type { CrossSiteOptions } from '../src/for-middleware.js'
export type { JwtOptions } from './jwt.js'
export { jwt } from './jwt.js'
export type { Grant } from './patterns.js'
export { patterns } from './patterns.js'
export type { HeaderTarget } from './position.js'
export { setPosition } from './position.js'
export type { OwnStreamerOptions } from './stream.js'
export type { SubscriptionsOptions } from './subscriptions.js'

/** Answers a fetch `Request`, as frameworks and runtimes on web standards take it. */
export interface FetchHandler {
  (request: Request): Promise<Response>
  /** The Streamer that the handler works on. A handler of the application's has none. */
  readonly streamer?: Streamer
}

/** Puts something in front of a handler. */
export type FetchMiddleware = (next: FetchHandler) => FetchHandler

/** A handler of ours, with its Streamer. */
export type StreamerHandler = FetchHandler & { readonly streamer: Streamer }

/**
 * Streams the events of the client that `?id=` names, or that `autoClient` has made.
 *
 * @param given A Streamer, or the options to make one. It is then the handler's `streamer`.
 */
export function handler<Principal = unknown>(
  given?: Streamer | OwnStreamerOptions,
  options: StreamOptions<Request, Principal> = {},
): StreamerHandler {
  checkStreamOptions('handler', options)
  const streamer = streamerFrom(given)
  return handling(streamer, async (exchange) => {
    const { response } = exchange
    const context = contextOf(exchange)
    const { client, terms } = await admitStream(streamer, context, response, options)
    return exchange.stream(streamer, client, terms)
  })
}

/**
 * Lets through only requests with a valid token. The handlers behind it take the token's principal
 * for the request's user.
 *
 * @throws OptionsError
 */
export function authenticate<Principal = unknown>(
  options: AuthenticateOptions<Request, Principal>,
): FetchMiddleware {
  checkAuthenticateOptions(options)
  return (next) => {
    checkNext('authenticate', next)
    return handling(next.streamer, async (exchange) => {
      const user = await identify(contextOf(exchange), options)
      noteContext(exchange.original, { user })
      return next(exchange.original)
    })
  }
}

/** Makes a client for each request that names none. Put it around `handler`. */
export function autoClient<Principal = unknown>(
  streamer: Streamer,
  options: AutoClientOptions<Request, Principal> = {},
): FetchMiddleware {
  const rule = prepareAutoClient(streamer, options)
  return (next) => {
    checkNext('autoClient', next)
    return handling(streamer, async (exchange) => {
      const { response } = exchange
      const location = await assureClient(streamer, contextOf(exchange), options, response, rule)
      if (location === undefined) return next(exchange.original)
      return exchange.answer({ status: 307, headers: { Location: location } })
    })
  }
}

/** `POST` makes a client, whose owner is the request's user. `DELETE` removes a client. */
export function clients<Principal = unknown>(
  streamer: Streamer,
  options: ClientsOptions<Request, Principal> = {},
): StreamerHandler {
  checkClients(streamer, options)
  return handling(streamer, async (exchange) => {
    checkBody(exchange.original)
    return exchange.answer(await answerClients(streamer, contextOf(exchange), options))
  })
}

/** `POST` changes a client's topics. `authorize` must allow each new one. */
export function subscriptions<Principal = unknown>(
  streamer: Streamer,
  options: SubscriptionsOptions<Request, Principal> = {},
): StreamerHandler {
  const rule = prepareSubscriptions(streamer, options)
  return handling(streamer, async (exchange) => {
    checkBody(exchange.original)
    return exchange.answer(await answerSubscriptions(streamer, contextOf(exchange), options, rule))
  })
}

/**
 * Has the errors of the handlers behind it answered by the application, in place of JSON. An example
 * that hands them to a framework's own error handler:
 *
 * ```ts
 * errorPage((error) => {
 *   throw error
 * })
 * ```
 */
export function errorPage(page: ErrorPage): FetchMiddleware {
  if (typeof page !== 'function') {
    refuse(
      'errorPage',
      'its argument',
      page,
      'a function from an error and a request to a Response',
    )
  }
  return (next) => {
    checkNext('errorPage', next)
    return handling(next.streamer, async (exchange) => {
      exchange.errorPage = page
      return next(exchange.original)
    })
  }
}

/**
 * Notes what the framework or the runtime knows of a request, and returns the request for a handler.
 *
 * ```ts
 * app.get('/events', (c) => events(withContext(c.req.raw, { user: c.get('user') })))
 * ```
 *
 * @throws OptionsError
 */
export function withContext(request: Request, context: FetchContext): Request {
  checkRequestGiven('withContext', request)
  checkOptions('withContext', context, {
    user: [(value) => !isThenable(value), 'a user, and no promise of one (await it)'],
    address: [(value) => typeof value === 'string', 'a network address'],
    host: [(value) => typeof value === 'string', 'a host, such as app.example:8080'],
    body: given([(value) => !isThenable(value), 'a body, and no promise of one (await it)']),
  })
  noteContext(request, context)
  return request
}

function contextOf(exchange: Exchange): RequestContext<Request> {
  const { request, original } = exchange
  const { user, address, host } = contextNoted(original)
  return {
    request,
    frameworkRequest: original,
    principal: user,
    // The exchange's request reads it, also where it was given.
    parsedBody: undefined,
    address,
    host,
    elsewhere: () => placeOfUser(original, 'request', ['auth', 'user', 'session.user']),
  }
}

function handling(
  streamer: Streamer,
  handle: (exchange: Exchange) => Promise<Response>,
): StreamerHandler
function handling(
  streamer: Streamer | undefined,
  handle: (exchange: Exchange) => Promise<Response>,
): FetchHandler
function handling(
  streamer: Streamer | undefined,
  handle: (exchange: Exchange) => Promise<Response>,
): FetchHandler {
  const answer = async (request: Request): Promise<Response> => {
    checkRequestGiven('The handler', request)
    const exchange = exchangeOf(request)
    return exchange.run(() => handle(exchange).catch((error) => exchange.fail(error, streamer)))
  }
  return Object.assign(answer, streamer && { streamer })
}

/** By its parts, since a framework's own request need not inherit from this process's `Request`. */
function checkRequestGiven(caller: string, request: unknown): void {
  const { headers, signal, url } = Object(request) as Partial<Request>
  const isRequest = typeof headers?.get === 'function' && typeof url === 'string' && Boolean(signal)
  if (!isRequest) refuse(caller, 'request', request, 'a fetch Request; with Hono, c.req.raw')
}

function checkNext(caller: string, next: unknown): void {
  if (typeof next === 'function') return
  refuse(caller, 'next', next, 'the handler behind it: a function from a Request to a Response')
}
