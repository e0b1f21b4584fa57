import { parseCookie } from 'cookie'
import type { AnyRequest } from '../src/index.js'
import { AuthenticationError, CallbackError, OptionsError } from '../src/index.js'
import {
  answerOf,
  callback,
  callbackError,
  checkOptions,
  given,
  queryOf,
} from '../src/for-middleware.js'
import type { OptionTable } from '../src/for-middleware.js'
import type { RequestContext } from './request-context.js'

/**
 * Where a token is read from: the Bearer token of the `Authorization` header, a cookie, a query
 * parameter, or a function of the application's.
 *
 * EventSource can't send headers, so a browser needs one of the others. Prefer a cookie: a URL is
 * written to logs and to the browser's history.
 */
export type TokenSource<Context> =
  | 'authorization'
  | { cookie: string }
  | { query: string }
  | ((request: Context) => string | undefined)

/** Options of `authenticate`. */
export interface AuthenticateOptions<Context, Principal = unknown> {
  /**
   * Returns the principal of a token. Undefined, null or false means that the token is not valid:
   * the request gets 401. An error that it throws gives 500, unless it is an `AuthenticationError`.
   */
  verify: (
    token: string,
    request: Context,
  ) => Principal | undefined | null | false | Promise<Principal | undefined | null | false>
  /** Where to look for the token, in this order. Default: `['authorization']`. */
  from?: readonly TokenSource<Context>[]
}

/** The principal of a request. @throws AuthenticationError, CallbackError */
export async function identify<Context, Principal>(
  context: RequestContext<Context>,
  { verify, from = ['authorization'] }: AuthenticateOptions<Context, Principal>,
): Promise<Principal> {
  const token = tokenOf(context, from)
  if (token === undefined) throw new AuthenticationError('The request has no token.', false)
  let principal
  try {
    principal = await verify(token, context.frameworkRequest)
  } catch (error) {
    throw callbackError('verify', error)
  }
  if (Number.isNaN(principal)) {
    throw new CallbackError('verify', new TypeError('it gave NaN. It gives a principal.'))
  }
  if (principal === undefined || principal === null || principal === false || principal === '') {
    throw new AuthenticationError('The token is not valid.', true)
  }
  return principal
}

const takesSource =
  "a list, at least one of 'authorization', { cookie: name }, { query: name }, a function"

/** The checks of {@link AuthenticateOptions}. */
export const AUTHENTICATE_OPTIONS = {
  verify: given(callback('a function from a token to its principal')),
  from: [(value) => Array.isArray(value) && value.length > 0 && value.every(isSource), takesSource],
} satisfies OptionTable

/** Checks the options when the middleware is made. @throws OptionsError */
export function checkAuthenticateOptions<C, P>(options: AuthenticateOptions<C, P>): void {
  checkOptions('authenticate', options, AUTHENTICATE_OPTIONS)
  if (options.verify === undefined) {
    throw new OptionsError('authenticate takes { verify: (token, request) => principal }.')
  }
}

function isSource(value: unknown): boolean {
  if (value === 'authorization' || typeof value === 'function') return true
  if (typeof value !== 'object' || value === null) return false
  const [[kind, name] = [], more] = Object.entries(value)
  const isKind = kind === 'cookie' || kind === 'query'
  return isKind && more === undefined && typeof name === 'string' && name !== ''
}

function tokenOf<Context>(
  { request, frameworkRequest }: RequestContext<Context>,
  sources: readonly TokenSource<Context>[],
): string | undefined {
  for (const source of sources) {
    const token =
      typeof source === 'function'
        ? answerOf('from', () => source(frameworkRequest), isToken, 'a token, or undefined')
        : tokenAt(source, request)
    if (token !== undefined && token !== '') return token
  }
  return undefined
}

function isToken(value: unknown): boolean {
  return value === undefined || typeof value === 'string'
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
