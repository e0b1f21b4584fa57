import type { AnyRequest, Streamer } from '../src/index.js'
import { CallbackError, OptionsError } from '../src/index.js'
import type { Plan } from '../src/for-middleware.js'
import { callbackError, doorOf } from '../src/for-middleware.js'

/** One request, in a form that is the same for all frameworks. */
export interface RequestContext<FrameworkRequest> {
  /** Node's request. */
  request: AnyRequest
  /** The framework's request or context. The application's functions get it. */
  frameworkRequest: FrameworkRequest
  /** The user, as earlier authentication middleware has set it. */
  principal: unknown
  /** The body, as an earlier body parser has set it. */
  parsedBody: unknown
  /** The client's network address, by the framework's own proxy settings. */
  address: string | undefined
}

/** A complete answer, for the framework to send. */
export interface Answer {
  status: number
  headers?: Record<string, string>
  /** Sent as JSON. */
  body?: unknown
}

/** How a middleware finds out which user sends the request. */
export interface PrincipalOptions<FrameworkRequest, Principal = unknown> {
  /**
   * The user of the request (its principal). Default: what earlier middleware has set: `req.auth`
   * or `req.user` in Express, `ctx.state.user` in Koa.
   */
  principal?: (request: FrameworkRequest) => Principal | undefined
  /**
   * The owner's name of a principal. Default: the principal itself if it is a string or a number,
   * else its `sub` or `id`.
   */
  owner?: (principal: Principal) => string
}

/** Further options of a middleware that streams. */
export interface StreamOptions<FrameworkRequest, Principal = unknown> extends PrincipalOptions<
  FrameworkRequest,
  Principal
> {
  /**
   * When the principal's token expires, in milliseconds since 1970. The stream ends then. Default:
   * the principal's `exp`, which is in seconds as in a JSON Web Token, else never.
   */
  expires?: (principal: Principal) => number | undefined
}

/** Whether `principal` may subscribe to `topic`. Only `true` allows it. */
export type Authorize<FrameworkRequest, Principal = unknown> = (
  principal: Principal,
  topic: string,
  request: FrameworkRequest,
) => boolean | Promise<boolean>

/** The client that `autoClient` has made for each request, for the middleware that streams. */
const clients = new WeakMap<AnyRequest, AssignedClient>()

/** A request's client, and the topics that the request is to have. */
export interface AssignedClient {
  readonly id: string
  readonly plan: Plan
}

export function assignClient(request: AnyRequest, client: AssignedClient): void {
  clients.set(request, client)
}

export function assignedClient(request: AnyRequest): AssignedClient | undefined {
  return clients.get(request)
}

/** The owner's name of the request's user, or undefined if the user is not known. */
export function ownerOf<Context, Principal>(
  context: RequestContext<Context>,
  options: PrincipalOptions<Context, Principal>,
): string | undefined {
  const principal = principalOf(context, options)
  if (principal === undefined) return undefined
  const owner = options.owner
    ? guarded('owner', () => options.owner!(principal))
    : defaultOwner(principal)
  if (typeof owner === 'string' && owner !== '') return owner
  throw new OptionsError(
    'The principal is not a string or a number, and has neither sub nor id. ' +
      'Give owner: principal => string.',
  )
}

export function principalOf<Context, Principal>(
  context: RequestContext<Context>,
  options: PrincipalOptions<Context, Principal>,
): Principal | undefined {
  const principal = options.principal
    ? guarded('principal', () => options.principal!(context.frameworkRequest))
    : (context.principal as Principal | undefined)
  return principal ?? undefined
}

function defaultOwner(principal: unknown): string | undefined {
  const { sub, id } = Object(principal) as { sub?: unknown; id?: unknown }
  for (const value of [principal, sub, id]) {
    if (typeof value === 'string') return value
    if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  }
  return undefined
}

/** When the principal's token expires, in milliseconds since 1970, or undefined for never. */
export function expiryOf<Context, Principal>(
  context: RequestContext<Context>,
  options: StreamOptions<Context, Principal>,
): number | undefined {
  const principal = principalOf(context, options)
  if (principal === undefined) return undefined
  if (options.expires) return guarded('expires', () => options.expires!(principal))
  const { exp } = Object(principal) as { exp?: unknown }
  return typeof exp === 'number' ? exp * 1000 : undefined
}

/** Calls the application's `authorize`. @throws CallbackError if that throws. */
export async function isAuthorized<Context, Principal>(
  authorize: Authorize<Context, Principal> | undefined,
  context: RequestContext<Context>,
  principal: Principal | undefined,
  topic: string,
): Promise<boolean> {
  if (authorize === undefined) return false
  try {
    // Another truthy value is most likely a mistake, such as a forgotten comparison.
    return (await authorize(principal as Principal, topic, context.frameworkRequest)) === true
  } catch (error) {
    throw callbackError('authorize', error)
  }
}

/**
 * Has a middleware's `authorize` asked again when a client comes with another request.
 *
 * @param kind The middleware's name.
 * @returns the rule's name, or undefined where the middleware has no `authorize`.
 */
export function addRule<Context, Principal>(
  streamer: Streamer,
  kind: string,
  options: PrincipalOptions<Context, Principal> & { authorize?: Authorize<Context, Principal> },
): string | undefined {
  const { authorize } = options
  if (authorize === undefined) return undefined
  return doorOf(streamer).rights.addRule(kind, (topic, { context }, asker) => {
    const request = context as RequestContext<Context>
    // A stream may be open to everybody who has the id: then who asked for the topic counts.
    const principal = principalOf(request, options) ?? (asker as Principal | undefined)
    return isAuthorized(authorize, request, principal, topic)
  })
}

function guarded<T>(name: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw new CallbackError(name, error)
  }
}
