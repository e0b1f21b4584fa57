import { setImmediate } from 'node:timers/promises'
import { within } from './within.js'

/** In how many parts the time is waited. */
const PARTS = 4

/**
 * Waits for an answer like `within`, to tell a peer that is silent from a process that does not
 * listen: time for which this process was too busy to read what came counts for little. It waits in
 * parts, and one of them is no more than that, however long it took; between them everything is
 * read that is there.
 *
 * @param heardAt When something else came from the peer last, by `performance.now()`: the time
 *   begins anew then.
 */
export async function patiently<T>(
  answer: Promise<T>,
  milliseconds: number,
  heardAt: () => number = () => -Infinity,
): Promise<T | 'failed' | 'late'> {
  let since = performance.now()
  for (let part = 0; part < PARTS; part++) {
    const outcome = await within(answer, milliseconds / PARTS)
    if (outcome !== 'late') return outcome
    await setImmediate()
    if (heardAt() <= since) continue
    since = heardAt()
    part = -1
  }
  return within(answer, 0)
}
