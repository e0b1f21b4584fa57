import type { Context } from 'koa'
import { sendError } from '../src/for-middleware.js'

/**
 * Has the error answered in JSON instead of Koa's plain text, if no middleware catches it and the
 * app has no handler of its own.
 */
export function answerInJson(ctx: Context, error: unknown): void {
  const { onerror } = ctx
  if (onerror !== Koa(ctx).onerror) return
  ctx.onerror = (thrown) => {
    if (thrown !== error) {
      onerror.call(ctx, thrown)
      return
    }
    ctx.app.emit('error', thrown, ctx)
    sendError(ctx.res, thrown)
  }
}

/** Koa's own context, from which each app's context inherits. */
function Koa(ctx: Context): Partial<Context> {
  return Object.getPrototypeOf(ctx.app.context) as Partial<Context>
}
