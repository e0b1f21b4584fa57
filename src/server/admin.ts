import type { AnyRequest, AnyResponse, Streamer } from '../index.js'
import { UnifrostError } from '../index.js'
import { answer, pathOf } from './answers.js'

/** No route of the admin port has the address. */
export class NoAdminRouteError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_NO_ROUTE'
  readonly status = 404
  constructor() {
    super('There is nothing at this address. There is /livez and /readyz.')
  }
}

/** Finds the route of a request, if it is one for those who run the server. */
export type AdminRoutes = (request: AnyRequest) => ((response: AnyResponse) => void) | undefined

/**
 * `/livez` says that the process runs: no reason to restart it. `/readyz` says whether to send it
 * requests: it has 503 while the broker is away, and while the server leaves.
 */
export function adminRoutes(streamer: Streamer): AdminRoutes {
  const routes = new Map<string, (response: AnyResponse) => void>([
    ['/livez', (response) => answer(response, 200, { ok: true })],
    [
      '/readyz',
      (response) => {
        const health = streamer.health()
        answer(response, health.ok ? 200 : 503, health)
      },
    ],
  ])
  return (request) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return undefined
    return routes.get(pathOf(request))
  }
}
