import type { JWTVerifyGetKey, JWTVerifyOptions, RemoteJWKSetOptions } from 'jose'
import { AuthenticationError, KeysUnavailableError, OptionsError } from '../src/index.js'
import type { OptionTable } from '../src/for-middleware.js'
import { checkOptions, count, given } from '../src/for-middleware.js'
import type { Jose } from './jose.js'
import { loadJose } from './jose.js'
import type { PublicKey } from './jwt-keys.js'
import { ASYMMETRIC, fittingAlgorithms, isPublicKey, isSecret, SYMMETRIC } from './jwt-keys.js'
import { noteValidUntil } from './valid-until.js'

/** What a token says: its claims (RFC 7519, section 4.1), and those of the issuer's own. */
export interface JwtPayload {
  iss?: string
  sub?: string
  aud?: string | string[]
  jti?: string
  /** In seconds since 1970. */
  nbf?: number
  /** In seconds since 1970. */
  exp?: number
  /** In seconds since 1970. */
  iat?: number
  [claim: string]: unknown
}

/**
 * Options of `jwt`. Those beside the keys are of `jose`, under its own names. An option that is
 * undefined is refused: a check that a missing setting takes away would be missed by nobody.
 */
export interface JwtOptions {
  /**
   * The shared secret of HS256, HS384 or HS512, at least 32 bytes; a string is taken as UTF-8. A
   * key in PEM form is no secret: give it as `publicKey`.
   */
  secret?: string | Uint8Array
  /** A public key of Web Crypto or of Node, such as `createPublicKey(pem)` makes. */
  publicKey?: PublicKey
  /** The address of the issuer's JWK Set. The keys are fetched and cached. */
  jwksUrl?: string | URL
  /** The algorithms to accept. Default: HS256 with a secret, else those that fit the key. */
  algorithms?: readonly string[]
  /** The value that `iss` must have. Default: `iss` is not checked. */
  issuer?: string | readonly string[]
  /** The value that `aud` must have. Default: `aud` is not checked. */
  audience?: string | readonly string[]
  /** The value that `sub` must have. Default: `sub` is not checked. */
  subject?: string
  /** The value that the header's `typ` must have, such as `at+jwt`. Default: it is not checked. */
  typ?: string
  /** Claims that must be there, such as `exp`. Default: none beyond those that are checked. */
  requiredClaims?: readonly string[]
  /** The longest time since `iat`, in seconds or as text such as `1h`. Default: no limit. */
  maxTokenAge?: number | string
  /**
   * How many seconds the clocks of issuer and server may differ, also at the end of a stream.
   * Default: 5.
   */
  clockTolerance?: number
  /**
   * With `jwksUrl`: for how many milliseconds after a fetch the keys are not fetched again for a
   * token of an unknown key. Such a token gets 503 meanwhile. Default: 30,000. 0: never waits.
   */
  cooldownDuration?: number
  /**
   * With `jwksUrl`: after how many milliseconds the keys are fetched anew. A withdrawn key holds as
   * long. Default: 600,000. Infinity: until a token of an unknown key comes.
   */
  cacheMaxAge?: number
  /** With `jwksUrl`: how many milliseconds the issuer may take. Default: 5,000. */
  timeoutDuration?: number
}

const isText = (value: unknown) => typeof value === 'string' && value !== ''
const isTexts = (value: unknown) => Array.isArray(value) && value.length > 0 && value.every(isText)
const isTextOrTexts = (value: unknown) => isText(value) || isTexts(value)
const isSeconds = (value: unknown) => Number.isFinite(value) && (value as number) >= 0

const JWT_OPTIONS = {
  secret: [isSecret, 'at least 32 bytes, of no key in PEM form', { given: true, hidden: true }],
  publicKey: given([isPublicKey, 'a public key, such as createPublicKey(pem) makes']),
  jwksUrl: given([
    (value) => /^https?:/.test(String(value)) && URL.canParse(String(value)),
    'an address of http or https',
  ]),
  algorithms: given([isTexts, 'a list of algorithms, at least one']),
  issuer: given([isTextOrTexts, 'a text that is not empty, or a list of them']),
  audience: given([isTextOrTexts, 'a text that is not empty, or a list of them']),
  subject: given([isText, 'a text that is not empty']),
  typ: given([isText, 'a text that is not empty']),
  requiredClaims: given([isTexts, 'a list of claims, at least one']),
  maxTokenAge: given([
    (value) => isSeconds(value) || (typeof value === 'string' && /^\d+ ?[a-z]+$/i.test(value)),
    'a number of seconds, or a text such as "1h"',
  ]),
  clockTolerance: given([isSeconds, 'a number of seconds, from 0']),
  cooldownDuration: given(count(0)),
  cacheMaxAge: given(count(0)),
  timeoutDuration: given(count(1, 2 ** 31 - 1)),
} satisfies OptionTable

/** The checks of a token that are jose's own. */
const CLAIMS = ['issuer', 'audience', 'subject', 'typ', 'requiredClaims', 'maxTokenAge'] as const

/**
 * A `verify` for `authenticate`. It checks a JSON Web Token's signature, its times, and its issuer
 * and audience if the options name them. The principal is the token's payload. It uses `jose`.
 *
 * @throws OptionsError
 */
export function jwt(options: JwtOptions): (token: string) => Promise<JwtPayload> {
  checkJwtOptions(options)
  const { secret, publicKey, jwksUrl } = options
  const remote = picked(options, ['cooldownDuration', 'cacheMaxAge', 'timeoutDuration'])
  const clockTolerance = options.clockTolerance ?? 5
  const checks: JWTVerifyOptions = {
    // jose changes no list, but its types say that it may.
    ...(picked(options, CLAIMS) as Pick<JWTVerifyOptions, (typeof CLAIMS)[number]>),
    clockTolerance,
    algorithms: [...(options.algorithms ?? defaultAlgorithms(options))],
  }
  const key = typeof secret === 'string' ? new TextEncoder().encode(secret) : (secret ?? publicKey)
  const keys = jwksUrl === undefined ? undefined : new RemoteKeys(new URL(jwksUrl), remote)

  return async (token) => {
    const jose = await loadJose()
    // The time of this file's realm: a test that moves the clock moves it for tokens as well.
    const now = { ...checks, currentDate: new Date() }
    try {
      const { payload } =
        key === undefined
          ? await jose.jwtVerify(token, keys!.using(jose), now)
          : await jose.jwtVerify(token, key, now)
      return noteValidUntil(payload, clockTolerance)
    } catch (error) {
      if (error instanceof jose.errors.JWTExpired) {
        throw new AuthenticationError('The token has expired.', true)
      }
      keys?.check(error, jose)
      if (error instanceof jose.errors.JOSEError) {
        throw new AuthenticationError('The token is not valid.', true)
      }
      throw error
    }
  }
}

/** The keys at an address, as `jose` fetches and keeps them. */
class RemoteKeys {
  #keys: (JWTVerifyGetKey & { readonly coolingDown?: boolean }) | undefined
  readonly #url: URL
  readonly #options: RemoteJWKSetOptions

  constructor(url: URL, options: RemoteJWKSetOptions) {
    this.#url = url
    this.#options = options
  }

  using({ createRemoteJWKSet, customFetch }: Jose): JWTVerifyGetKey {
    // The `fetch` that is global at the time: a test may have replaced it.
    const ours = {
      ...this.#options,
      [customFetch]: (...request: Parameters<typeof fetch>) => fetch(...request),
    }
    return (this.#keys ??= createRemoteJWKSet(this.#url, ours))
  }

  /** @throws KeysUnavailableError if the keys, and not the token, are the reason of an error. */
  check(error: unknown, { errors }: Jose): void {
    if (error instanceof errors.JWKSNoMatchingKey) {
      if (this.#keys?.coolingDown !== true) return
      // The issuer may have changed its keys since they were fetched.
      const wait = this.#options.cooldownDuration ?? 30_000
      throw new KeysUnavailableError(Math.min(5, Math.max(1, Math.ceil(wait / 1_000))), error)
    }
    const isTokens =
      error instanceof errors.JOSEError &&
      !['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID'].includes(error.code)
    if (!isTokens) throw new KeysUnavailableError(5, error)
  }
}

function checkJwtOptions(options: JwtOptions): void {
  checkOptions('jwt', options, JWT_OPTIONS)
  const { secret, publicKey, jwksUrl, algorithms } = options
  if ([secret, publicKey, jwksUrl].filter((key) => key !== undefined).length !== 1) {
    throw new OptionsError('jwt takes exactly one of secret, publicKey and jwksUrl.')
  }
  for (const name of ['cooldownDuration', 'cacheMaxAge', 'timeoutDuration'] as const) {
    if (options[name] !== undefined && jwksUrl === undefined) {
      throw new OptionsError(`jwt: ${name} is for jwksUrl, which is not given.`)
    }
  }
  const fitting = secret !== undefined ? SYMMETRIC : defaultAlgorithms(options)
  const unfit = algorithms?.find((name) => !fitting.includes(name))
  if (unfit === undefined) return
  throw new OptionsError(
    `jwt: algorithms has ${JSON.stringify(unfit)}, which does not fit the key. ` +
      `It takes ${fitting.join(', ')}.`,
  )
}

function defaultAlgorithms({ secret, publicKey }: JwtOptions): string[] {
  if (secret !== undefined) return ['HS256']
  return publicKey === undefined ? ASYMMETRIC : fittingAlgorithms(publicKey)
}

function picked<Name extends keyof JwtOptions>(
  options: JwtOptions,
  names: readonly Name[],
): Pick<JwtOptions, Name> {
  const given = names.filter((name) => options[name] !== undefined)
  return Object.fromEntries(given.map((name) => [name, options[name]])) as never
}
