import { until } from '../../../src/testing/index.js'
import type { RecordingSink } from '../../../src/testing/index.js'

/** Waits a fiftieth of a second: with bursts of twenty, that is a thousand messages a second. */
export async function nextBurst(): Promise<void> {
  const due = performance.now() + 20
  await until('the next burst is due', () => performance.now() >= due)
}

const CUTS = 7
/** After a cut, so many messages show that the link is back. */
const BACK = 100

/**
 * Publishes the numbers from 1 on at a thousand a second, and cuts the link whenever messages have
 * come again: by messages and not by the clock, however long the way back takes.
 *
 * @returns the numbers that the broker has.
 */
export async function cutUnderLoad(
  sink: RecordingSink,
  publish: (payloads: string[]) => Promise<unknown>,
  cut: () => void,
): Promise<number[]> {
  const confirmed: number[] = []
  let cuts = 0
  let before = 0
  await until(
    `${CUTS} cuts, and messages after each`,
    async () => {
      const numbers = Array.from({ length: 20 }, (_, i) => confirmed.length + i + 1)
      await publish(numbers.map(String))
      confirmed.push(...numbers)
      await nextBurst()
      if (sink.count('message') < before + BACK) return false
      if (cuts++ === CUTS) return true
      before = sink.count('message')
      cut()
      return false
    },
    50_000,
  )
  return confirmed
}
