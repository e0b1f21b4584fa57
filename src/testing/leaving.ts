import type { Driver } from '../driver.js'
import type { Bench, Definition } from './bench.js'
import type { Refusal } from './link.js'
import { ResourceWatch, SETTLE } from './resources.js'
import { check, inTime, until } from './until.js'

/** Rule 4 again: what is counted before and after, on the broker and in this process. */
export const leaving: readonly Definition[] = [
  {
    rule: 4,
    name: 'closing topics one by one, or a driver with all of them, leaves nothing on the broker',
    needs: ['leftovers'],
    async run(bench) {
      const leftovers = () => bench.count('leftovers')
      const before = await leftovers()
      const one = await bench.driver()
      const other = await bench.driver()
      const first = await bench.openMany(one, 'left-a', 1)
      const settled = await leftovers()
      const topics = await bench.openMany(one, 'left-b', 10)
      await bench.openMany(other, 'left-c', 10)
      const during = await leftovers()
      check(
        during > settled && settled > before,
        `Expected leftovers() to count what is open: ${before}, ${settled} and ${during}.`,
      )
      await inTime('closing a driver', other.close(), bench.bound)
      await Promise.all(topics.map((topic) => bench.close(topic)))
      await bench.leftovers(settled)
      for (const topic of first) await bench.close(topic)
      await inTime('closing a driver', one.close(), bench.bound)
      await bench.leftovers(before)
    },
  },
  {
    rule: 4,
    name: 'a topic that is closed is gone from the broker, while its driver goes on with others',
    needs: ['subscriptions'],
    async run(bench) {
      const count = () => bench.count('subscriptions')
      const driver = await bench.driver()
      const [witness] = await bench.openMany(driver, 'stays', 1)
      check(witness !== undefined, 'A topic.')
      const settled = await count()
      for (let round = 1; round <= 3; round++) {
        const topic = await bench.open(driver, await bench.topic('goes'))
        let left = settled
        const risen = async () => (left = await count()) > settled
        await until('subscriptions() to rise', risen, bench.bound).catch((cause: unknown) => {
          const message = `Expected subscriptions() to rise with a topic that is opened: ${settled} and ${left}.`
          throw new Error(message, { cause })
        })
        await bench.close(topic)
        const gone = async () => (left = await count()) <= settled
        await until('the broker to let go', gone, bench.bound).catch((cause: unknown) => {
          const message = `Expected ${settled} subscriptions on the broker after close, there are ${left}.`
          throw new Error(message, { cause })
        })
      }
      await bench.works(witness)
    },
  },
  {
    rule: 4,
    name: 'a driver that is closed leaves no timer, socket or listener in this process',
    needs: ['ownConnection'],
    async run(bench) {
      // Libraries make some things once for a process, and keep them.
      await useAndClose(bench, () => bench.harness.create())
      const watch = new ResourceWatch()
      try {
        for (let round = 0; round < 3; round++) {
          await useAndClose(bench, () => bench.harness.create(), watch)
        }
        await watch.nothingLeft('after close')
      } finally {
        watch.end()
      }
    },
  },
  {
    rule: 4,
    name: 'a driver that is closed while it waits to connect again does not try again',
    needs: ['ownConnection', 'refuse'],
    away: true,
    run: (bench) =>
      closeWaiting(bench, async ({ refusal, pause }) => {
        const closed = performance.now()
        const due = closed + 2 * pause
        await until('the next attempt would be due', () => performance.now() > due, 3 * pause)
        // What was on its way at close may have been counted a little later.
        const late = refusal.attempts.filter((at) => at > closed + 100).length
        check(late === 0, `Expected no attempt to connect after close, there were ${late}.`)
      }),
  },
  {
    rule: 4,
    name: 'a driver that is closed while it waits to connect again leaves no timer for it',
    needs: ['ownConnection', 'refuse', 'endsWait'],
    away: true,
    run: (bench) =>
      closeWaiting(bench, ({ watch }) => watch.nothingLeft('after close, with the broker away')),
  },
]

interface Closed {
  watch: ResourceWatch
  refusal: Refusal
  /** How many milliseconds lay between the last two attempts. */
  pause: number
}

/** Closes a driver that has lost its connection and has just tried in vain to get another one. */
async function closeWaiting(bench: Bench, then: (closed: Closed) => Promise<void>): Promise<void> {
  const name = await bench.topic('waiting')
  await useAndClose(bench, () => bench.harness.create())
  const watch = new ResourceWatch()
  try {
    const driver = await watch.run(() => bench.driver())
    await bench.works(await watch.run(() => bench.open(driver, name)))
    const refusal = await bench.use('refuse')()
    try {
      const pause = await longPause(bench, refusal)
      await inTime(
        'closing a driver',
        watch.run(() => driver.close()),
        bench.bound,
      )
      await then({ watch, refusal, pause })
    } finally {
      refusal.end()
    }
  } finally {
    watch.end()
  }
}

/** How many milliseconds a driver has for its waits to become long. */
const PATIENCE = 6_000

/** Waits until the driver has just tried, and will not again for longer than a watch waits. */
async function longPause(bench: Bench, refusal: Refusal): Promise<number> {
  let seen = 0
  let pause = 0
  const isLong = () => {
    const { attempts } = refusal
    if (attempts.length < 2 || attempts.length === seen) return false
    seen = attempts.length
    pause = (attempts.at(-1) as number) - (attempts.at(-2) as number)
    return pause >= SETTLE * 1.5
  }
  // A driver that never waits for long is judged by what it does after close.
  await until('a longer pause', isLong, Math.min(bench.bound, PATIENCE)).catch(() => undefined)
  check(seen > 1, `Expected the driver to try again, there were ${seen} attempts.`)
  return Math.max(pause, SETTLE * 1.5)
}

/** Uses a driver for all that it is for, and closes it. */
export async function useAndClose(
  bench: Bench,
  make: () => Driver | Promise<Driver>,
  watch?: ResourceWatch,
): Promise<void> {
  const run = <T>(act: () => T): T => (watch ? watch.run(act) : act())
  const names = [await bench.topic('used'), await bench.topic('used')] as const
  const driver = bench.keep(await run(make))
  const topics = await Promise.all(names.map((name) => run(() => bench.open(driver, name))))
  for (const topic of topics) await bench.works(topic)
  const [first] = topics
  check(first !== undefined, 'A topic.')
  await run(() => bench.close(first))
  await inTime(
    'closing a driver',
    run(() => driver.close()),
    bench.bound,
  )
}
