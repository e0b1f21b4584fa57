import { parseCookie } from 'cookie'
import type { AnyRequest } from '../src/index.js'
import { AuthenticationError, CallbackError, OptionsError, UnifrostError } from '../src/index.js'
import { queryOf } from '../src/for-middleware.js'
import type { RequestContext } from './request-context.js'

/**
 * Where a token may stand: a header's Bearer token, a cookie, a query parameter, or wherever a
 * function looks.
 *
 * EventSource can't send headers, so a browser needs one of the others. A cookie is the better
 * one: a URL stands in logs and in the browser's history.
 */
export type TokenSource<Context> =
  | 'authorization'
  | { cookie: string }
  | { query: string }
  | ((request: Context) => string | undefined)

/** What `authenticate` takes. */
export interface AuthenticateOptions<Context, Principal = unknown> {
  /**
   * The principal that a token stands for; undefined, null or false where it stands for nobody,
   * which is answered with 401. What it throws is a failure of the server, answered with 500,
   * unless it is an `AuthenticationError`.
   */
  verify: (
    token: string,
    request: Context,
  ) => Principal | undefined | null | false | Promise<Principal | undefined | null | false>
  /** Where to look, in this order. Default: `['authorization']`. */
  from?: TokenSource<Context>[]
}

/** The principal of a request. @throws AuthenticationError, CallbackError */
export async function identify<Context, Principal>(
  context: RequestContext<Context>,
  { verify, from = ['authorization'] }: AuthenticateOptions<Context, Principal>,
): Promise<Principal> {
  const token = tokenOf(context, from)
  if (token === undefined)
    throw new AuthenticationError('A token is needed, and there is none.', false)
  let principal
  try {
    principal = await verify(token, context.frameworkRequest)
  } catch (error) {
    throw error instanceof UnifrostError ? error : new CallbackError('verify', error)
  }
  if (principal === undefined || principal === null || principal === false) {
    throw new AuthenticationError('The token does not hold.', true)
  }
  return principal
}

/** @throws OptionsError at set-up rather than at the first request. */
export function checkAuthenticateOptions<C, P>(options: AuthenticateOptions<C, P>): void {
  if (typeof (options as Partial<typeof options> | undefined)?.verify !== 'function') {
    throw new OptionsError('authenticate takes { verify: (token, request) => principal }.')
  }
}

function tokenOf<Context>(
  { request, frameworkRequest }: RequestContext<Context>,
  sources: TokenSource<Context>[],
): string | undefined {
  for (const source of sources) {
    const token =
      typeof source === 'function' ? callSource(source, frameworkRequest) : tokenAt(source, request)
    if (token !== undefined && token !== '') return token
  }
  return undefined
}

function callSource<Context>(
  source: (request: Context) => string | undefined,
  context: Context,
): string | undefined {
  try {
    return source(context)
  } catch (error) {
    throw new CallbackError('from', error)
  }
}

function tokenAt(
  source: 'authorization' | { cookie: string } | { query: string },
  request: AnyRequest,
): string | undefined {
  if (source === 'authorization') {
    return /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1]
  }
  if ('cookie' in source) return parseCookie(request.headers.cookie ?? '')[source.cookie]
  return queryOf(request).get(source.query) ?? undefined
}
