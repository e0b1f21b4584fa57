import type { Assembly } from '../../../src/assembly.js'
import type { Streamer } from '../../../src/index.js'

/** The parts of a Streamer, for a model of what its servers do among themselves. */
export function partsOf(streamer: Streamer): Assembly {
  return (streamer as unknown as { parts: Assembly }).parts
}
