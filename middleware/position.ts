import type { Streamer } from '../src/index.js'
import { refuse } from '../src/for-middleware.js'
import { checkStreamer } from './streamer-argument.js'

/** The header of a position, beside the data that a page loads. */
export const POSITION_HEADER = 'Unifrost-Position'

/** What takes a header: Koa's `ctx`, `Headers`, a response of Node's or Express, a reply of Fastify's. */
export type HeaderTarget =
  | { setHeader: (name: string, value: string) => unknown }
  | { header: (name: string, value: string) => unknown }
  | { set: (name: string, value: string) => unknown }

/**
 * Sets `Unifrost-Position` on an answer. Call it **before** the data is read, so that a message which
 * comes meanwhile is behind the position and is sent.
 *
 * ```ts
 * setPosition(streamer, response)
 * response.json(await loadItems())
 * ```
 *
 * @returns the position.
 * @throws OptionsError, LogUnavailableError
 */
export function setPosition(streamer: Streamer, answer: HeaderTarget): string {
  checkStreamer('setPosition', streamer)
  const target = Object(answer) as Record<string, unknown>
  const method = ['setHeader', 'set', 'header'].find((name) => typeof target[name] === 'function')
  if (method === undefined) {
    refuse('setPosition', 'answer', answer, "a response, Koa's ctx, Fastify's reply, or Headers")
  }
  const position = streamer.position()
  const set = target[method] as (name: string, value: string) => unknown
  set.call(answer, POSITION_HEADER, position)
  return position
}
