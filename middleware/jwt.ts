import type { KeyObject, webcrypto } from 'node:crypto'
import type { JWTPayload, JWTVerifyGetKey, JWTVerifyOptions } from 'jose'
import { AuthenticationError, OptionsError } from '../src/index.js'

/** Options of `jwt`. */
export interface JwtOptions {
  /** The shared secret of HS256, HS384 or HS512; a string is taken as UTF-8. */
  secret?: string | Uint8Array
  /** A public key of Web Crypto or of Node. */
  publicKey?: webcrypto.CryptoKey | KeyObject
  /** The address of the issuer's JWK Set. The keys are fetched and cached. */
  jwksUrl?: string | URL
  /** The algorithms to accept. Default: HS256 with a secret, else those that fit the key. */
  algorithms?: string[]
  /** The value that `iss` must have. Default: `iss` is not checked. */
  issuer?: string | string[]
  /** The value that `aud` must have. Default: `aud` is not checked. */
  audience?: string | string[]
  /** How many seconds the clocks of issuer and server may differ. Default: 5. */
  clockTolerance?: number
}

/**
 * A `verify` for `authenticate`. It checks a JSON Web Token's signature, its times, and its issuer
 * and audience if the options name them. The principal is the token's payload. It uses `jose`.
 *
 * @throws OptionsError if not exactly one of secret, publicKey and jwksUrl is given.
 */
export function jwt(options: JwtOptions): (token: string) => Promise<JWTPayload> {
  const { secret, publicKey, jwksUrl } = options
  if ([secret, publicKey, jwksUrl].filter((key) => key !== undefined).length !== 1) {
    throw new OptionsError('jwt takes exactly one of secret, publicKey and jwksUrl.')
  }
  if (secret !== undefined && secret.length === 0) throw new OptionsError('jwt: secret is empty.')
  const checks: JWTVerifyOptions = { clockTolerance: options.clockTolerance ?? 5 }
  if (options.issuer !== undefined) checks.issuer = options.issuer
  if (options.audience !== undefined) checks.audience = options.audience
  if (options.algorithms !== undefined) checks.algorithms = options.algorithms
  else if (secret !== undefined) checks.algorithms = ['HS256']
  const key = typeof secret === 'string' ? new TextEncoder().encode(secret) : (secret ?? publicKey)
  let remoteKeys: JWTVerifyGetKey | undefined

  return async (token) => {
    // Loaded on first use, so that an application with a `verify` of its own need not install it.
    const jose = await import('jose')
    try {
      if (key !== undefined) return (await jose.jwtVerify(token, key, checks)).payload
      remoteKeys ??= jose.createRemoteJWKSet(new URL(jwksUrl!))
      return (await jose.jwtVerify(token, remoteKeys, checks)).payload
    } catch (error) {
      if (error instanceof jose.errors.JWTExpired) {
        throw new AuthenticationError('The token has expired.', true)
      }
      if (isTokensFault(error, jose)) throw new AuthenticationError('The token is not valid.', true)
      throw error
    }
  }
}

/** Whether the token is not valid. False if the issuer's keys can't be fetched or read. */
function isTokensFault(error: unknown, { errors }: typeof import('jose')): boolean {
  if (!(error instanceof errors.JOSEError)) return false
  return !['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID'].includes(error.code)
}
