import type { AnyRequest, Streamer } from '../src/index.js'
import { AuthenticationError, OptionsError } from '../src/index.js'
import type { Allowance, AllowedSince, OptionTable, Plan } from '../src/for-middleware.js'
import {
  allowedSince,
  answerOf,
  callback,
  callbackError,
  claimsOf,
  doorOf,
  EXPIRES,
  given,
  isExpiry,
  isIssueTime,
  isOwner,
  METHODS_CHECK,
  nameFrom,
  ownerNameOf,
  originsCheck,
  show,
} from '../src/for-middleware.js'
import type { CrossSiteOptions, MethodOptions } from '../src/for-middleware.js'
import { validUntil } from './valid-until.js'

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
  /** The host that the browser asked for, by the framework's own proxy settings. */
  host: string | undefined
  /** Where else a user stands, if somewhere: a place that is not looked at without `principal`. */
  elsewhere: () => string | undefined
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
   * The user of the request (its principal). A request for which it gives undefined, null or false
   * gets 401. It answers at once. Default: what earlier middleware has set: `req.auth` or `req.user`
   * in Express, `ctx.state.user` in Koa; a request without is nobody's.
   */
  principal?: (request: FrameworkRequest) => Principal | undefined | null | false
  /**
   * The owner's name of a principal. Default: the principal itself if it is a string or a number,
   * else its `sub` or `id`. It answers at once. `false`, as the option or as the answer, says that
   * clients belong to nobody.
   */
  owner?: false | ((principal: Principal) => string | false)
  /**
   * The log-in that the request belongs to, for `streamer.revoke({ session })`: for instance
   * `(user, req) => req.sessionID`. It answers at once; undefined is for none. Default: the
   * principal's `sid`, else none.
   */
  session?: (principal: Principal, request: FrameworkRequest) => string | number | undefined
}

/** The checks of {@link PrincipalOptions}. */
export const PRINCIPAL_OPTIONS = {
  principal: given(callback('a function from a request to its user')),
  owner: given([
    (value) => value === false || typeof value === 'function',
    'a function from a user to a name, or false for nobody',
  ]),
  session: given(callback('a function from a user and a request to the id of a log-in')),
} satisfies OptionTable

/** The checks of {@link StreamOptions}. */
export const STREAM_OPTIONS = {
  ...PRINCIPAL_OPTIONS,
  expires: given(callback('a function from a user to milliseconds since 1970')),
  id: given(callback('a function from a request to the id of its client')),
  methods: METHODS_CHECK,
  origins: originsCheck,
} satisfies OptionTable

/** Further options of a middleware that streams. */
export interface StreamOptions<FrameworkRequest, Principal = unknown>
  extends PrincipalOptions<FrameworkRequest, Principal>, CrossSiteOptions, MethodOptions {
  /**
   * The id of the request's client, such as one that is kept in a session. It alone counts: an id in
   * the address is passed over. The client must exist, else the request gets 401. A client that
   * `autoClient` has made comes first. Default: the query's `id`.
   */
  id?: (request: FrameworkRequest) => string | Promise<string>
  /**
   * When the principal's token expires, in milliseconds since 1970, or undefined for never. It
   * answers at once. The stream ends then. Default: the `exp` of the principal or of its `payload`,
   * which is in seconds as in a JSON Web Token (with `jwt`, plus its `clockTolerance`), else never.
   */
  expires?: (principal: Principal) => number | undefined
}

/**
 * Whether `principal` may subscribe to `topic`. Only `true` and `{ since }` allow it: with `since`, a
 * `Date` or milliseconds since 1970, a position brings nothing of what came before.
 */
export type Authorize<FrameworkRequest, Principal = unknown> = (
  principal: Principal,
  topic: string,
  request: FrameworkRequest,
) => Allowance | Promise<Allowance>

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

/** The owner of each request, as the first middleware that asked has found it. */
const owners = new WeakMap<AnyRequest, string | undefined>()

/**
 * The owner's name of the request's user, or undefined for nobody.
 *
 * @throws AuthenticationError, CallbackError; OptionsError if the user has no name, stands where
 *   nobody looks, or is another one for another middleware of the same request.
 */
export function ownerOf<Context, Principal>(
  context: RequestContext<Context>,
  options: PrincipalOptions<Context, Principal>,
): string | undefined {
  const owner = findOwner(context, options)
  const { request } = context
  if (owners.has(request) && owners.get(request) !== owner) {
    throw new OptionsError(
      'Two middlewares of one request take it for different users, or for a user and nobody. ' +
        'Give the same principal and owner to autoClient and to the stream.',
    )
  }
  owners.set(request, owner)
  return owner
}

function findOwner<Context, Principal>(
  context: RequestContext<Context>,
  options: PrincipalOptions<Context, Principal>,
): string | undefined {
  const principal = principalOf(context, options)
  if (options.owner === false) return undefined
  if (principal === undefined) {
    const place = context.elsewhere()
    if (place === undefined) return undefined
    throw new OptionsError(
      `A user stands in ${place}, where nobody looks. Give principal: a function that returns the ` +
        'user, or owner: false if clients belong to nobody.',
    )
  }
  const { owner: name } = options
  if (name !== undefined) {
    const fits = (value: unknown) => value === false || isOwner(value)
    const owner = answerOf('owner', () => name(principal), fits, 'the name of an owner, or false')
    return owner === false ? undefined : owner
  }
  const owner = ownerNameOf(principal)
  if (owner !== undefined) return owner
  throw new OptionsError(
    `The principal is ${show(principal)} that names no owner: it is no string or finite number, and ` +
      'neither is its sub or id. Give owner: principal => string, or owner: false for nobody.',
  )
}

/**
 * The request's user, or undefined for nobody.
 *
 * @throws CallbackError; AuthenticationError if `principal` is given and finds nobody.
 */
export function principalOf<Context, Principal>(
  context: RequestContext<Context>,
  { principal: find }: PrincipalOptions<Context, Principal>,
): Principal | undefined {
  if (find === undefined) return (context.principal as Principal | undefined) ?? undefined
  const fits = (value: unknown) => !Number.isNaN(value)
  const principal = answerOf('principal', () => find(context.frameworkRequest), fits, 'a user')
  const isNobody = [undefined, null, false, ''].includes(principal as never)
  if (!isNobody) return principal as Principal
  throw new AuthenticationError('The request has no user. Log in first.', false)
}

/**
 * When the principal's token expires, in milliseconds since 1970, or undefined for never.
 *
 * @throws CallbackError; OptionsError for an `exp` that is no time.
 */
export function expiryOf<Context, Principal>(
  context: RequestContext<Context>,
  options: StreamOptions<Context, Principal>,
): number | undefined {
  const principal = principalOf(context, options)
  if (principal === undefined) return undefined
  const { expires } = options
  if (expires !== undefined) return answerOf('expires', () => expires(principal), isExpiry, EXPIRES)
  const claims = claimsOf(principal)
  const { exp } = claims
  if (exp === undefined) return undefined
  const until = typeof exp === 'number' ? exp * 1000 : NaN
  if (!isExpiry(until)) {
    throw new OptionsError(
      `The principal's exp takes seconds since 1970; it got ${show(exp)}. ` +
        'Give expires: principal => milliseconds since 1970, or undefined for never.',
    )
  }
  return validUntil(claims) ?? until
}

/**
 * The log-in of the request, and when its token was issued (`iat`, in seconds since 1970).
 *
 * @throws CallbackError, AuthenticationError
 */
export function logInOf<Context, Principal>(
  context: RequestContext<Context>,
  options: PrincipalOptions<Context, Principal>,
): { session: string | undefined; issuedAt: number | undefined } {
  const principal = principalOf(context, options)
  if (principal === undefined) return { session: undefined, issuedAt: undefined }
  const { sid, iat } = claimsOf(principal)
  const issuedAt = isIssueTime(iat) ? iat : undefined
  const { session: find } = options
  if (find === undefined) return { session: nameFrom(sid), issuedAt }
  const session = answerOf(
    'session',
    () => find(principal, context.frameworkRequest),
    (value) => value === undefined || nameFrom(value) !== undefined,
    "a log-in's id, or undefined for none",
  )
  return { session: nameFrom(session), issuedAt }
}

/** Calls the application's `authorize`. @throws CallbackError if that throws. */
export async function isAuthorized<Context, Principal>(
  authorize: Authorize<Context, Principal> | undefined,
  context: RequestContext<Context>,
  principal: Principal | undefined,
  topic: string,
): Promise<AllowedSince> {
  if (authorize === undefined) return false
  try {
    return allowedSince(await authorize(principal as Principal, topic, context.frameworkRequest))
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
  const { rights, authorizing } = doorOf(streamer)
  return rights.addRule(kind, (topic, { context }, asker) => {
    const request = context as RequestContext<Context>
    // A stream may be open to everybody who has the id: then who asked for the topic counts.
    const principal = principalOf(request, options) ?? (asker as Principal | undefined)
    return authorizing.run(() => isAuthorized(authorize, request, principal, topic))
  })
}
