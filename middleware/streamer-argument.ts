import type { Streamer } from '../src/index.js'
import { hasDoor, refuse } from '../src/for-middleware.js'

/** True also for a Streamer of the package's other module format (ESM beside CommonJS). */
export function isStreamer(given: unknown): given is Streamer {
  return hasDoor(given)
}

/** @throws OptionsError for what is no Streamer. */
export function checkStreamer(caller: string, given: unknown): asserts given is Streamer {
  if (!isStreamer(given)) refuse(caller, 'streamer', given, 'a Streamer, as its first argument')
}
