import { Bench } from '../../../src/testing/bench.js'
import { until } from '../../../src/testing/index.js'
import type { DriverHarness } from '../../../src/testing/index.js'
import { Load } from '../../../src/testing/load.js'

const FROZEN = 20_000

/**
 * Holds a driver to the promise where its broker is frozen for twenty seconds under load. The
 * contract does so for as long as it takes to notice; after this, brokers have given up too.
 */
export async function frozenForLong(harness: DriverHarness): Promise<void> {
  const bench = new Bench(harness)
  const driver = await bench.driver()
  const load = new Load(bench, await bench.openMany(driver, 'frozen', 3))
  try {
    await load.more(20)
    const thaw = await bench.use('freeze')()
    const due = performance.now() + FROZEN
    try {
      await until('it has been frozen for long', () => performance.now() >= due, 2 * FROZEN)
    } finally {
      await thaw()
    }
    await load.more(20)
    await load.end()
  } finally {
    await load.stop()
    await driver.close()
  }
}
