import type { AnyRequest, Streamer } from '../src/index.js'
import { doorOf } from '../src/for-middleware.js'

/** The Streamers that have said it. */
const told = new WeakSet<Streamer>()

/** The middle of a JSON Web Token whose claims begin as those of all do: `{"`. */
const CLAIMS = /\bey[\w-]+\.(ey[\w-]+)\.[\w-]+/g

/**
 * Says once in the log that streams go on when their token has expired, if a request carries a token
 * that ends and its principal does not say when. passport, for instance, puts a user of the
 * application's in the token's place. The token itself is not asked: nobody here has verified it.
 */
export function tellLostExpiry(streamer: Streamer, request: AnyRequest): void {
  if (told.has(streamer)) return
  const { authorization = '', cookie = '' } = request.headers
  const texts = [authorization, cookie, request.url ?? '']
  if (!texts.some((text) => [...text.matchAll(CLAIMS)].some(([, claims]) => ends(claims!)))) return
  told.add(streamer)
  doorOf(streamer).warn(
    { option: 'expires' },
    'A request carries a token with exp, but its principal has no exp: the stream goes on when the ' +
      'token has expired. Give the stream expires: principal => milliseconds since 1970, or ' +
      'expires: () => undefined if that is meant.',
  )
}

function ends(claims: string): boolean {
  try {
    const { exp } = Object(JSON.parse(Buffer.from(claims, 'base64url').toString())) as {
      exp?: unknown
    }
    return typeof exp === 'number'
  } catch (error) {
    // It only looks like a token.
    void error
    return false
  }
}
