import { until } from '../../../src/testing/index.js'

/** Waits a fiftieth of a second: with bursts of twenty, that is a thousand messages a second. */
export async function nextBurst(): Promise<void> {
  const due = performance.now() + 20
  await until('the next burst is due', () => performance.now() >= due)
}
