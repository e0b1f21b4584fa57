import { setImmediate } from 'node:timers/promises'
import { within } from './within.js'

/** In how many parts the time is split. */
const PARTS = 4

/**
 * Waits for an answer like {@link within}, and tells a peer that is silent from a process that does
 * not listen.
 *
 * The time is split into four parts, and between two parts everything that has arrived is read. A
 * part counts as a quarter however long it really took. An example with 2,000 ms: the answer arrives
 * after 10 ms, but this process computes for 3 s and reads nothing. A plain timer would be due first
 * and call the peer dead. Here the first part is over late, the answer is read, and it counts.
 *
 * @param heardAt When something else last came from the peer, by `performance.now()`. The time
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
