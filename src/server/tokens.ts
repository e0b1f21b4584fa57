import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createLocalJWKSet, decodeJwt, errors, jwtVerify } from 'jose'
import type { JSONWebKeySet } from 'jose'
import { jwt } from '../../middleware/express.js'
import type { JwtPayload } from '../../middleware/express.js'
import { AuthenticationError } from '../index.js'
import type { Config } from './config/schema.js'

type Auth = NonNullable<Config['auth']>
type Issuer = Auth['issuers'][number]

/** What a token says of its user. @throws AuthenticationError, KeysUnavailableError */
export type Verify = (token: string) => Promise<JwtPayload>

/** Checks the tokens of several issuers. A token names its own, and is checked by that one's keys. */
export function tokenVerifier(auth: Auth | undefined, folder: string): Verify {
  const issuers = new Map((auth?.issuers ?? []).map((it) => [it.issuer, verifierOf(it, folder)]))
  return async (token) => {
    const issuer = issuerOf(token)
    const verify = issuer === undefined ? undefined : issuers.get(issuer)
    if (verify === undefined)
      throw new AuthenticationError('The token is of no issuer that this server knows.', true)
    const claims = await verify(token)
    if (typeof claims.sub !== 'string' || claims.sub === '') {
      throw new AuthenticationError('The token names no user: it has no sub.', true)
    }
    return claims
  }
}

/** Whose the token says it is. It is believed once its signature was checked. */
function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof TypeError) return undefined
    throw error
  }
}

function verifierOf(issuer: Issuer, folder: string): Verify {
  const { jwks, secret, audience, algorithms } = issuer
  const clockTolerance = issuer.clockTolerance / 1_000
  const checks = { issuer: issuer.issuer, audience, algorithms, clockTolerance }
  if (secret !== undefined) return jwt({ ...checks, secret })
  if (/^https?:\/\//.test(jwks!)) return jwt({ ...checks, jwksUrl: jwks! })
  const set = createLocalJWKSet(
    JSON.parse(readFileSync(resolve(folder, jwks!), 'utf8')) as JSONWebKeySet,
  )
  return async (token) => {
    try {
      return (await jwtVerify<JwtPayload>(token, set, checks)).payload
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error
      const isOver = error instanceof errors.JWTExpired
      throw new AuthenticationError(
        isOver ? 'The token has expired.' : 'The token is not valid.',
        true,
      )
    }
  }
}
