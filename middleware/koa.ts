import { Readable } from 'node:stream'
import type { Context, Middleware } from 'koa'
import type { AnyResponse, Client, HandleOptions, Streamer } from '../src/index.js'
import type { Door } from '../src/for-middleware.js'
import {
  checkHead,
  doorOf,
  openStream,
  passingRefusal,
  STREAM_HEADERS,
} from '../src/for-middleware.js'
import type { AuthenticateOptions } from './authenticate.js'
import { checkAuthenticateOptions, identify } from './authenticate.js'
import type { AutoClientOptions } from './auto-client.js'
import { assureClient, prepareAutoClient } from './auto-client.js'
import type { ClientsOptions } from './clients.js'
import { answerClients, checkClients } from './clients.js'
import { placeOfUser } from './elsewhere.js'
import { answerInJson } from './koa-errors.js'
import type { Answer, RequestContext, StreamOptions } from './request-context.js'
import { ANSWER_HEADERS } from './send-answer.js'
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

/** A middleware with its Streamer. */
export type StreamMiddleware = Middleware & { readonly streamer: Streamer }

/**
 * Streams the events of the client that `?id=` names, or that `autoClient` has made.
 *
 * @param given A Streamer, or the options to make one. It is then the middleware's `streamer`.
 */
export function unifrostKoa<Principal = unknown>(
  given?: Streamer | OwnStreamerOptions,
  options: StreamOptions<Context, Principal> = {},
): StreamMiddleware {
  checkStreamOptions('unifrostKoa', options)
  const streamer = streamerFrom(given)
  const door = doorOf(streamer)
  const middleware: Middleware = handling(streamer, async (ctx) => {
    const { client, terms } = await admitStream(streamer, contextOf(ctx), ctx.res, options)
    if (!ctx.writable) {
      door.abandon(client)
      return
    }
    checkHead(door, client, ctx.res)
    ctx.status = 200
    ctx.set(STREAM_HEADERS)
    ctx.body = new EventStream(door, client, ctx, terms)
    ignoreDisconnects(ctx)
  })
  return Object.assign(middleware, { streamer })
}

/**
 * Lets through only requests with a valid token, and sets `ctx.state.user` to its principal.
 *
 * @throws OptionsError
 */
export function authenticate<Principal = unknown>(
  options: AuthenticateOptions<Context, Principal>,
): Middleware {
  checkAuthenticateOptions(options)
  return handling(undefined, async (ctx) => {
    ctx.state.user = await identify(contextOf(ctx), options)
    return 'next'
  })
}

/** Makes a client for each request that names none. Put it before `unifrostKoa`. */
export function autoClient<Principal = unknown>(
  streamer: Streamer,
  options: AutoClientOptions<Context, Principal> = {},
): Middleware {
  const rule = prepareAutoClient(streamer, options)
  return handling(streamer, async (ctx) => {
    const location = await assureClient(streamer, contextOf(ctx), options, ctx.res, rule)
    if (location === undefined) return 'next'
    send(ctx, { status: 307, headers: { Location: location } })
    return undefined
  })
}

/** `POST` makes a client, whose owner is the request's user. `DELETE` removes a client. */
export function clients<Principal = unknown>(
  streamer: Streamer,
  options: ClientsOptions<Context, Principal> = {},
): Middleware {
  checkClients(streamer, options)
  return handling(streamer, async (ctx) => {
    send(ctx, await answerClients(streamer, contextOf(ctx), options))
  })
}

/** `POST` changes a client's topics. `authorize` must allow each new one. */
export function subscriptions<Principal = unknown>(
  streamer: Streamer,
  options: SubscriptionsOptions<Context, Principal> = {},
): Middleware {
  const rule = prepareSubscriptions(streamer, options)
  return handling(streamer, async (ctx) => {
    send(ctx, await answerSubscriptions(streamer, contextOf(ctx), options, rule))
  })
}

/**
 * The body of Koa's response. For Koa and for outer middleware it is an ordinary stream. When it is
 * piped, it hands the destination to the Streamer, which writes to it directly.
 */
class EventStream extends Readable {
  private opened = false

  constructor(
    private readonly door: Door,
    private readonly client: Client,
    private readonly ctx: Context,
    private readonly terms: HandleOptions,
  ) {
    super({ autoDestroy: true })
  }

  override pipe<T extends NodeJS.WritableStream>(destination: T, options?: { end?: boolean }): T {
    this.opened = true
    if (options?.end !== false) this.once('end', () => destination.end())
    const response = destination as unknown as AnyResponse
    openStream(this.door, this.client, this.ctx.req, response, this.terms, () => {
      this.push(null)
      this.resume()
    })
    return destination
  }

  override _read(): void {
    // There is nothing to read: the Streamer writes to the destination of `pipe`.
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.opened) this.door.abandon(this.client)
    callback(error)
  }
}

/** Where users stand who are not at `ctx.state.user`. */
const PLACES = [
  'state.auth',
  'state.currentUser',
  'user',
  'session.user',
  'session.userId',
  'session.passport.user',
  'req.user',
  'req.auth',
  'request.user',
]

function contextOf(ctx: Context): RequestContext<Context> {
  const { user } = ctx.state as { user?: unknown }
  return {
    request: ctx.req,
    frameworkRequest: ctx,
    principal: user,
    // Read when it is needed: a stream keeps its context for hours, and need not keep the body.
    get parsedBody(): unknown {
      return (ctx.request as { body?: unknown }).body
    },
    address: ctx.ip,
    host: ctx.host || undefined,
    elsewhere: () => placeOfUser(ctx, 'ctx', PLACES),
  }
}

function send(ctx: Context, { status, headers = {}, body }: Answer): void {
  ctx.status = status
  ctx.set(ANSWER_HEADERS)
  ctx.set(headers)
  ctx.body = body ?? null
  // Setting an empty body changes the status to 204.
  ctx.status = status
}

/** Runs a handler, and then `next` if it returns 'next'. Errors go to the app's own handler. */
function handling(
  streamer: Streamer | undefined,
  handle: (ctx: Context) => Promise<'next' | undefined | void>,
): Middleware {
  return async (ctx, next) => {
    let result
    try {
      result = await handle(ctx)
    } catch (error) {
      const refusal = passingRefusal(streamer && doorOf(streamer), ctx.req, error)
      if (refusal === undefined) {
        answerInJson(ctx, error)
        throw error
      }
      ctx.status = 200
      ctx.body = refusal.body
      ctx.set(refusal.headers)
    }
    if (result === 'next') await next()
  }
}

/** A browser that leaves is not an error. Newer versions of Koa report it as one. */
function ignoreDisconnects(ctx: Context): void {
  const { onerror } = ctx
  ctx.onerror = (error) => {
    const { code } = Object(error) as { code?: unknown }
    if (code !== 'ERR_STREAM_PREMATURE_CLOSE') onerror.call(ctx, error)
  }
}
