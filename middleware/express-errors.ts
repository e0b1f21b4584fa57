import { STATUS_CODES } from 'node:http'
import type { Application, ErrorRequestHandler, NextFunction, Response } from 'express'
import type { AnyRequest, AnyResponse, Streamer } from '../src/index.js'
import { doorOf, isExposed, publicError, sendError } from '../src/for-middleware.js'

/** What a middleware calls to pass a request on, or an error. */
export type Next = (error?: unknown) => void

/** An Express application, as far as we use it. */
export type ExpressApp = Pick<Application, 'use' | 'router'> & {
  parent?: ExpressApp
  settings: {
    'trust proxy fn': (address: string | undefined, distance: number) => boolean
  }
}

/** The errors that our middleware has passed on, by request. */
const passedOn = new WeakMap<AnyRequest, unknown>()

/**
 * Leaves the answer to the error handlers of the application. If none of those that the error
 * reaches answers, Express answers it in JSON: its own handler would send the stack. Without `next`,
 * as with `node:http`, it is answered here.
 *
 * @param streamer Reports what the answer must not say.
 */
export function fail(
  error: unknown,
  request: AnyRequest,
  response: AnyResponse,
  next: Next | undefined,
  streamer: Streamer | undefined,
): void {
  const app = expressAppOf(request)
  if (app !== undefined && next !== undefined) {
    passedOn.set(request, error)
    standLast(rootOf(app))
    next(error)
    return
  }
  if (!isExposed(error) && streamer !== undefined) doorOf(streamer).failed(error)
  if (next === undefined) sendError(response, error)
  else next(forStrangers(error))
}

/** The request's Express application, if a request has one. Other frameworks use `app` as well. */
export function expressAppOf(request: AnyRequest): ExpressApp | undefined {
  const { app } = request as { app?: Partial<ExpressApp> }
  const isTrusted: unknown = app?.settings?.['trust proxy fn']
  return typeof isTrusted === 'function' ? (app as ExpressApp) : undefined
}

/**
 * An error for a router whose last handler may send the stack (connect) or the message (Fastify) of
 * every error: with the public message, and without a stack. Where the error's own message is not
 * public, the error is the `cause`.
 */
function forStrangers(error: unknown): Error {
  const { status, headers, body } = publicError(error)
  const { code } = body.error
  const about = { status, statusCode: status, code, headers, expose: false }
  const hidden = isExposed(error)
    ? error
    : Object.assign(new Error(STATUS_CODES[status], { cause: error }), about)
  hidden.stack = String(hidden)
  return hidden
}

function rootOf(app: ExpressApp): ExpressApp {
  return app.parent === undefined ? app : rootOf(app.parent)
}

/** The handler that stands last in each application, as far as we know. */
const last = new WeakMap<ExpressApp, unknown>()

/**
 * Puts our handler behind all that the application has by now. It is done when an error is there,
 * since applications add their error handlers last, and errors find handlers that were just added.
 */
function standLast(app: ExpressApp): void {
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

function stackOf(app: ExpressApp): { handle?: unknown }[] {
  // Express 4 keeps the router in `_router`; there, reading `router` throws.
  const { _router: router } = app as { _router?: { stack?: { handle?: unknown }[] } }
  const its = router ?? (app.router as { stack?: { handle?: unknown }[] } | undefined)
  return its?.stack ?? []
}

function answerInJson(error: unknown, response: Response, next: NextFunction): void {
  sendError(response, error)
  // Express's own handler then only logs the error, since the answer has been sent.
  if (!isExposed(error)) response.once('finish', () => next(error))
}
