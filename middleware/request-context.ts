import type { AnyRequest, Client } from '../src/index.js'
import { CallbackError, OptionsError } from '../src/index.js'

/** One request, in terms that no framework owns. */
export interface RequestContext<FrameworkRequest> {
  /** Node's request. */
  request: AnyRequest
  /** The framework's: what the application's own functions get. */
  frameworkRequest: FrameworkRequest
  /** Who asks, as some authentication before has found. */
  principal: unknown
  /** What a body parser before has made of the body. */
  parsedBody: unknown
  /** The sender's network address, as the framework's own proxy settings have it. */
  address: string | undefined
}

/** A complete answer, for a framework to send. */
export interface Answer {
  status: number
  headers?: Record<string, string>
  /** To be sent as JSON. */
  body?: unknown
}

/** How every middleware finds out who asks. */
export interface PrincipalOptions<FrameworkRequest, Principal = unknown> {
  /**
   * Who asks. Default: what other middleware has left, `req.auth` or `req.user` in Express,
   * `ctx.state.user` in Koa.
   */
  principal?: (request: FrameworkRequest) => Principal | undefined
  /**
   * The owner that a principal stands for. Default: the principal itself where it is a string or
   * a number, else its `sub` or `id`.
   */
  owner?: (principal: Principal) => string
}

/** What a middleware that streams takes beside. */
export interface StreamOptions<FrameworkRequest, Principal = unknown> extends PrincipalOptions<
  FrameworkRequest,
  Principal
> {
  /**
   * When what proves who asks expires, in milliseconds since 1970; the stream ends then.
   * Default: the principal's `exp`, in seconds, as a JSON Web Token has it, else never.
   */
  expires?: (principal: Principal) => number | undefined
}

/** Whether `principal` may have `topic`. */
export type Authorize<FrameworkRequest, Principal = unknown> = (
  principal: Principal,
  topic: string,
  request: FrameworkRequest,
) => boolean | Promise<boolean>

/** The client that `autoClient` has made for a request, for the middleware that streams. */
const clients = new WeakMap<AnyRequest, Pick<Client, 'id'>>()

export function assignClient(request: AnyRequest, client: Pick<Client, 'id'>): void {
  clients.set(request, client)
}

export function assignedClient(request: AnyRequest): Pick<Client, 'id'> | undefined {
  return clients.get(request)
}

/** Who the request's sender is, as the owner of clients; undefined where nobody is known. */
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
    'The principal names no owner: it is no string, and has neither a sub nor an id. ' +
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

/** When the principal's proof expires, in milliseconds since 1970, or undefined for never. */
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

/** Asks the application's `authorize`, which may throw. */
export async function isAuthorized<Context, Principal>(
  authorize: Authorize<Context, Principal> | undefined,
  context: RequestContext<Context>,
  principal: Principal | undefined,
  topic: string,
): Promise<boolean> {
  if (authorize === undefined) return false
  try {
    // Only `true`: an answer that is merely truthy is most likely a forgotten comparison.
    return (await authorize(principal as Principal, topic, context.frameworkRequest)) === true
  } catch (error) {
    throw new CallbackError('authorize', error)
  }
}

function guarded<T>(name: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw new CallbackError(name, error)
  }
}
