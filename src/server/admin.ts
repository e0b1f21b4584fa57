import type { AnyRequest, AnyResponse, Streamer } from '../index.js'
import { UnifrostError } from '../index.js'
import { answer, answerError, pathOf } from './answers.js'
import type { Measures } from './measures.js'

/** No route of the admin port has the address. */
export class NoAdminRouteError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_NO_ROUTE'
  readonly status = 404
  constructor() {
    super('There is nothing at this address. There is /livez, /readyz and /metrics.')
  }
}

/** Finds the route of a request, if it is one for those who run the server. */
export type AdminRoutes = (request: AnyRequest) => ((response: AnyResponse) => void) | undefined

/**
 * `/livez` says that the process runs: no reason to restart it. `/readyz` says whether to send it
 * requests: it has 503 while the broker is away, and while the server leaves.
 *
 * @param measures What `/metrics` has. Without it there is no such route.
 */
export function adminRoutes(streamer: Streamer, measures?: Measures): AdminRoutes {
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
  if (measures !== undefined) {
    routes.set('/metrics', (response) => {
      measures.answer(response).catch((error: unknown) => answerError(response, error))
    })
  }
  return (request) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return undefined
    return routes.get(pathOf(request))
  }
}
