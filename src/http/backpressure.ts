import { EventEmitter } from 'node:events'
import { ServerResponse } from 'node:http'
import type { Writable } from 'node:stream'
import type { AnyResponse } from './response-outlet.js'

/**
 * Writes to a response whose methods other middleware may have replaced: one that compresses keeps
 * the bytes until it is told to `flush`.
 *
 * @returns whether it takes more at once.
 */
export function writeThrough(response: AnyResponse, bytes: Buffer): boolean {
  const wrote: unknown = (response as Writable).write(bytes)
  const { flush } = response as { flush?: unknown }
  // A method of Node's that has the name is another one, and deprecated.
  if (typeof flush === 'function' && flush !== Object(ServerResponse.prototype).flush) {
    flush.call(response)
  }
  return !isFull(response, wrote)
}

/**
 * Whether a response takes no more for now.
 *
 * What `write` answers is not enough: one that was replaced may answer nothing, always the same, or
 * for a buffer of its own. The response itself knows. Only where its `on` was replaced too is the
 * answer false believed: whoever puts a buffer in between (compression) must pass on its `drain`.
 */
function isFull(response: AnyResponse, wrote: unknown): boolean {
  const { writableNeedDrain: needsDrain } = response as Partial<Writable>
  // HTTP/2's compatibility response does not say, and nor do many mocked ones.
  if (needsDrain === undefined) return wrote === false && response.writableLength !== 0
  if (needsDrain) return response.writableLength !== 0
  return wrote === false && isIntercepted(response)
}

/**
 * Calls back whenever a response may take more, until it is over. That may be too early: of a
 * response with a buffer in between, both ends are heard.
 */
export function onDrain(response: AnyResponse, listener: () => void): void {
  response.on('drain', listener)
  if (isIntercepted(response)) EventEmitter.prototype.on.call(response, 'drain', listener)
}

function isIntercepted(response: AnyResponse): boolean {
  return response instanceof ServerResponse && response.on !== EventEmitter.prototype.on
}
