import type { Driver } from '../driver.js'
import { checkAdvice } from './advice.js'
import type { Bench, Definition } from './bench.js'
import { recordingSink } from './sink.js'
import { check, inTime, rejection } from './until.js'

/** How many milliseconds what is under way may take to end, once the driver is being closed. */
const AT_ONCE = 1_000

/** Rules 4 and 6 while the broker does not answer: it is frozen, and everything waits for it. */
export const silent: readonly Definition[] = [
  {
    rule: 4,
    name: 'closing a driver ends at once what is under way, while the broker is frozen',
    needs: ['freeze'],
    away: true,
    async run(bench) {
      const open = await bench.driver()
      await bench.works(await bench.open(open, await bench.topic('open')))
      const fresh = await bench.driver()
      const names = await Promise.all([1, 2, 3].map(() => bench.topic('under-way')))
      const thaw = await bench.use('freeze')()
      try {
        for (const driver of [open, fresh]) await endsAtOnce(bench, driver, names)
      } finally {
        await thaw()
      }
    },
  },
  {
    rule: 6,
    name: 'connect rejects where the first subscribe would: with a frozen broker, and when closed',
    needs: ['freeze'],
    away: true,
    async run(bench) {
      const driver = await bench.driver()
      const connect = connecting(driver)
      // A driver need not have it.
      if (connect === undefined) return
      const [other, name] = [await bench.driver(), await bench.topic('first')]
      const thaw = await bench.use('freeze')()
      try {
        const outcomes = Promise.all([
          rejection('subscribe', other.subscribe(name, recordingSink()), bench.bound),
          rejection('connect', connect(), bench.bound),
        ])
        for (const error of await outcomes) checkAdvice(error, bench.harness.advice)
      } finally {
        await thaw()
      }
      await inTime('closing a driver', driver.close(), bench.bound)
      checkAdvice(await rejection('connect', connect(), bench.bound), bench.harness.advice)
    },
  },
]

/** Connects a driver before there is a topic, where it can. */
function connecting(driver: Driver): (() => Promise<unknown>) | undefined {
  const { connect } = driver as { connect?: () => Promise<unknown> }
  return connect?.bind(driver)
}

/** Has a driver open topics that it can't, closes it, and waits for what was begun. */
async function endsAtOnce(bench: Bench, driver: Driver, names: readonly string[]): Promise<void> {
  const begun = names.map((name) => driver.subscribe(name, recordingSink()))
  const attempts = Promise.allSettled([...begun, connecting(driver)?.()])
  // What is refused at once was never under way.
  await new Promise((resolve) => setTimeout(resolve, 100))
  const closing = driver.close()
  const outcomes = await inTime('what is under way ends', attempts, AT_ONCE)
  await inTime('closing a driver', closing, bench.bound)
  for (const outcome of outcomes.slice(0, names.length)) {
    check(outcome.status === 'rejected', 'Expected no topic to be opened on a frozen broker.')
    checkAdvice(outcome.reason as Error, bench.harness.advice)
  }
}
