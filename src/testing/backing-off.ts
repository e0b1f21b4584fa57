import type { Definition } from './bench.js'
import { check, until } from './until.js'

/** How many milliseconds connections are refused for, from the first attempt. */
const AWAY = 4_000
/** How many tries there may be within any second: the first few may come quickly. */
const AT_ONCE = 25
/** How many milliseconds at the end have to be calm, and how many tries that allows. */
const CALM = 1_500
const CALMLY = 6

/** Rule 5: a broker that is away is asked again and again, and not by a storm. */
export const backingOff: readonly Definition[] = [
  {
    rule: 5,
    name: 'while connections are refused the driver says that its broker is down, and then that it is up',
    needs: ['refuse'],
    async run(bench) {
      const driver = await bench.driver()
      const topic = await bench.open(driver, await bench.topic('down'))
      await bench.works(topic)
      const { brokerState: state } = driver
      // A driver need not be able to tell.
      if (state === undefined) return
      check(state.down === undefined, `Expected the broker to be up, it is ${state.down?.reason}`)
      const told: boolean[] = []
      state.onChange = () => told.push(state.down === undefined)
      const refusal = await bench.use('refuse')()
      try {
        await until('the driver to say that its broker is down', () => state.down, bench.bound)
      } finally {
        refusal.end()
      }
      await bench.worksAgain(topic)
      await until('the driver to say that it is up', () => told.at(-1) === true, bench.bound)
    },
  },
  {
    rule: 5,
    name: 'while connections are refused it tries again with back-off, and works once they are taken',
    needs: ['refuse'],
    async run(bench) {
      const perTry = bench.harness.connectionsPerTry ?? 1
      const driver = await bench.driver()
      const topics = await bench.openMany(driver, 'away', 3)
      for (const topic of topics) await bench.works(topic)
      const refusal = await bench.use('refuse')()
      try {
        const first = await until('an attempt to connect', () => refusal.attempts[0], bench.bound)
        const paced = () => checkPace(refusal.attempts, first + AWAY, perTry)
        await until('connections to be refused for long', paced, 2 * AWAY)
      } finally {
        refusal.end()
      }
      for (const topic of topics) await bench.worksAgain(topic)
    },
  },
]

/** Whether the time is over. It throws as soon as the attempts are too many. */
function checkPace(attempts: readonly number[], end: number, perTry: number): boolean {
  const most = Math.max(...attempts.map((from) => within(attempts, from, from + 1_000)))
  check(
    most <= AT_ONCE * perTry,
    `Expected at most ${AT_ONCE * perTry} attempts to connect within a second, there were ${most}: wait ` +
      'before each next one.',
  )
  if (performance.now() <= end) return false
  const last = within(attempts, end - CALM, end)
  check(
    last <= CALMLY * perTry,
    `Expected at most ${CALMLY * perTry} attempts to connect within ${CALM} ms, when the broker had been ` +
      `away for ${AWAY - CALM} ms, there were ${last}: wait longer before each next one.`,
  )
  return true
}

function within(attempts: readonly number[], from: number, to: number): number {
  return attempts.filter((at) => at >= from && at < to).length
}
