import type { KeyObject, webcrypto } from 'node:crypto'
import type { JWTPayload, JWTVerifyGetKey, JWTVerifyOptions } from 'jose'
import { AuthenticationError, OptionsError } from '../src/index.js'

/** What `jwt` takes. */
export interface JwtOptions {
  /** The shared secret of HS256 and its like, in UTF-8. */
  secret?: string | Uint8Array
  /** A public key, as Web Crypto and Node have it. */
  publicKey?: webcrypto.CryptoKey | KeyObject
  /** Where the issuer publishes its keys as a JWK Set. They are fetched and kept. */
  jwksUrl?: string | URL
  /** Which algorithms to accept. Default: HS256 with a secret, else what fits the key. */
  algorithms?: string[]
  /** What `iss` must be. */
  issuer?: string | string[]
  /** What `aud` must be. */
  audience?: string | string[]
  /** By how many seconds clocks may differ. Default: 5. */
  clockTolerance?: number
}

/**
 * A `verify` for `authenticate`: checks a JSON Web Token's signature, its times and what else
 * the options ask for. The principal is the token's payload. It runs on `jose`.
 *
 * @throws OptionsError when there is not exactly one of secret, publicKey and jwksUrl.
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
    // Loaded when it is first needed: who brings a verify of their own does without it.
    const jose = await import('jose')
    try {
      if (key !== undefined) return (await jose.jwtVerify(token, key, checks)).payload
      remoteKeys ??= jose.createRemoteJWKSet(new URL(jwksUrl!))
      return (await jose.jwtVerify(token, remoteKeys, checks)).payload
    } catch (error) {
      if (error instanceof jose.errors.JWTExpired) {
        throw new AuthenticationError('The token has expired.', true)
      }
      if (isTokensFault(error, jose))
        throw new AuthenticationError('The token does not hold.', true)
      throw error
    }
  }
}

/** That the issuer's keys could not be had, or are no keys, says nothing of the token. */
function isTokensFault(error: unknown, { errors }: typeof import('jose')): boolean {
  if (!(error instanceof errors.JOSEError)) return false
  return !['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID'].includes(error.code)
}
