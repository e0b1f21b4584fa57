import type { Application, ErrorRequestHandler, NextFunction, Request, Response } from 'express'
import { UnifrostError } from '../src/index.js'
import { isExposed, sendError } from '../src/for-middleware.js'

/** The errors that our middleware has passed on, by request. */
const passedOn = new WeakMap<Request, unknown>()

/**
 * Leaves the answer to the error handlers of the application. If none of those that the error
 * reaches answers, it is answered in JSON: Express's own handler would send the stack.
 */
export function fail(
  error: unknown,
  request: Request,
  response: Response,
  next: NextFunction,
): void {
  const app = request.app as (Application & { parent?: Application }) | undefined
  if (app !== undefined) {
    passedOn.set(request, error)
    standLast(rootOf(app))
  }
  next(error)
}

function rootOf(app: Application & { parent?: Application }): Application {
  return app.parent === undefined ? app : rootOf(app.parent)
}

/** The handler that stands last in each application, as far as we know. */
const last = new WeakMap<Application, unknown>()

/**
 * Puts our handler behind all that the application has by now. It is done when an error is there,
 * since applications add their error handlers last, and errors find handlers that were just added.
 */
function standLast(app: Application): void {
  const handler = last.get(app)
  if (handler !== undefined && stackOf(app).at(-1)?.handle === handler) return
  const answer: ErrorRequestHandler = (error: unknown, request, response, next) => {
    // One that others were added behind leaves the error to them.
    if (last.get(app) === answer && passedOn.get(request) === error && !response.headersSent) {
      answerInJson(error, response, next)
    } else {
      next(error)
    }
  }
  last.set(app, answer)
  app.use(answer)
}

function stackOf(app: Application): { handle?: unknown }[] {
  // Express 4 keeps the router in `_router`; there, reading `router` throws.
  const { _router: router } = app as { _router?: { stack?: { handle?: unknown }[] } }
  const its = router ?? (app.router as { stack?: { handle?: unknown }[] } | undefined)
  return its?.stack ?? []
}

function answerInJson(error: unknown, response: Response, next: NextFunction): void {
  sendError(response, error)
  const expected = (error instanceof UnifrostError && error.expose) || isExposed(error)
  // Express's own handler then only logs the error, since the answer has been sent.
  if (!expected) response.once('finish', () => next(error))
}
