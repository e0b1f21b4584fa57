import type { Application, ErrorRequestHandler, NextFunction, Request, Response } from 'express'
import { UnifrostError } from '../src/index.js'
import { sendError } from '../src/for-middleware.js'

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

interface Layer {
  handle?: unknown
}

function rootOf(app: Application & { parent?: Application }): Application {
  return app.parent === undefined ? app : rootOf(app.parent)
}

/**
 * Puts our handler behind all that the application has by now. It is done when an error is there,
 * since applications add their error handlers last, and errors find handlers that were just added.
 */
function standLast(app: Application): void {
  const stack = stackOf(app)
  if (stack.at(-1)?.handle === answerInJson) return
  const earlier = stack.findIndex(({ handle }) => handle === answerInJson)
  if (earlier >= 0) stack.splice(earlier, 1)
  app.use(answerInJson)
}

function stackOf(app: Application): Layer[] {
  // Express 4 keeps the router in `_router`; there, reading `router` throws.
  const { _router: router } = app as { _router?: { stack?: Layer[] } }
  return router?.stack ?? (app.router as { stack?: Layer[] } | undefined)?.stack ?? []
}

const answerInJson: ErrorRequestHandler = (error: unknown, request, response, next) => {
  if (passedOn.get(request) !== error || response.headersSent) {
    next(error)
    return
  }
  sendError(response, error)
  const expected = error instanceof UnifrostError && error.expose
  // Express's own handler then only logs the error, since the answer has been sent.
  if (!expected) response.once('finish', () => next(error))
}
