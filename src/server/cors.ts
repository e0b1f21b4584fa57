import type { AnyRequest, AnyResponse } from '../index.js'

/** What a page may send beside what every page may. */
const HEADERS = 'Authorization, Cache-Control, Content-Type, Idempotency-Key, Last-Event-ID'
const METHODS = 'GET, HEAD, POST, DELETE'
/** What a page may read beside the body. */
const EXPOSED = 'Retry-After, WWW-Authenticate'
/** Browsers ask again after at most two hours. */
const MAX_AGE = '7200'

/**
 * Lets pages of other origins use the server.
 *
 * @returns whether the request was the browser's question, and has its answer.
 */
export type Cors = (request: AnyRequest, response: AnyResponse) => boolean

export function corsFor(origins: readonly string[]): Cors {
  const all = origins.includes('*')
  const named = new Set(origins)
  return (request, response) => {
    const { origin } = request.headers
    const asks = request.method === 'OPTIONS' && 'access-control-request-method' in request.headers
    if (!all) response.setHeader('Vary', 'Origin')
    const allowed = origin !== undefined && (all || named.has(origin))
    if (allowed) {
      response.setHeader('Access-Control-Allow-Origin', all ? '*' : origin)
      // With cookies a browser takes a named origin only.
      if (!all) response.setHeader('Access-Control-Allow-Credentials', 'true')
      response.setHeader('Access-Control-Expose-Headers', EXPOSED)
    }
    if (!asks) return false
    if (allowed) {
      response.setHeader('Access-Control-Allow-Methods', METHODS)
      response.setHeader('Access-Control-Allow-Headers', HEADERS)
      response.setHeader('Access-Control-Max-Age', MAX_AGE)
    }
    response.statusCode = 204
    response.end()
    return true
  }
}
