import type { Driver } from '../driver.js'
import type { Bench, Definition } from './bench.js'
import { Load } from './load.js'
import { recordingSink } from './sink.js'
import { inTime, until } from './until.js'

/** Rule 5: the link breaks, in every way a link can break, and nothing is lost in silence. */
export const breaking: readonly Definition[] = [
  {
    rule: 5,
    name: 'a broker killed and started again under load: everything, or a gap in its place',
    needs: ['restart'],
    run: (bench) => underLoad(bench, () => bench.use('restart')()),
  },
  {
    rule: 5,
    name: 'a broker killed and started again twice in a row: everything, or a gap in its place',
    needs: ['restart'],
    run: (bench) =>
      underLoad(bench, async () => {
        await bench.use('restart')()
        await bench.use('restart')()
      }),
  },
  {
    rule: 5,
    name: 'a link cut under load: everything, or a gap in its place',
    needs: ['cut'],
    run: (bench) => underLoad(bench, async () => bench.use('cut')()),
  },
  {
    rule: 5,
    name: 'a link gone silent under load is noticed: everything, or a gap in its place',
    needs: ['stall'],
    run: (bench) => underLoad(bench, async () => bench.use('stall')()),
  },
  {
    rule: 5,
    name: 'a broker frozen under load: everything, or a gap in its place',
    needs: ['freeze'],
    run: (bench) =>
      underLoad(bench, async (driver) => {
        const thaw = await bench.use('freeze')()
        try {
          // What a frozen broker does to a subscribe: it must settle, and it takes as long as
          // the driver needs to notice.
          const attempt = trySubscribe(bench, driver)
          await inTime('subscribe with a frozen broker settles', attempt, bench.bound)
        } finally {
          await thaw()
        }
      }),
  },
  {
    rule: 5,
    name: 'what is published once gap has been called arrives',
    needs: ['cut'],
    async run(bench) {
      // Several times, since a gap that comes too early is right now and then.
      for (let round = 0; round < 5; round++) await afterGap(bench)
    },
  },
  {
    rule: 5,
    name: 'a topic opened while the broker restarts works, or can be opened afterwards',
    needs: ['restart'],
    async run(bench) {
      const driver = await bench.driver()
      await bench.works(await bench.open(driver, await bench.topic('before')))
      const restarting = bench.use('restart')()
      const attempts = [1, 2, 3].map(() => trySubscribe(bench, driver))
      await restarting
      for (const attempt of attempts) {
        const outcome = await inTime('subscribe during a restart', attempt, bench.bound)
        await bench.worksAgain(outcome ?? (await bench.open(driver, await bench.topic('after'))))
      }
    },
  },
]

async function underLoad(bench: Bench, breakIt: (driver: Driver) => Promise<void>): Promise<void> {
  const driver = await bench.driver()
  const load = new Load(bench, await bench.openMany(driver, 'load', 3))
  try {
    await load.more(20)
    await breakIt(driver)
    await load.more(20)
    await load.end()
  } finally {
    await load.stop()
  }
}

/** Publishes from within `gap`: the first moment from which nothing may be missing. */
async function afterGap(bench: Bench): Promise<void> {
  const driver = await bench.driver()
  const name = await bench.topic('after-gap')
  const sink = recordingSink()
  let publishing: Promise<void> | undefined
  const gap = (reason: string) => {
    sink.gap(reason)
    publishing ??= bench.publish(name, 'after the gap')
  }
  const subscribing = driver.subscribe(name, { ...sink, gap })
  await inTime(`subscribe to ${name}`, subscribing, bench.bound)
  await bench.use('cut')()
  const back = async () => {
    await bench.publish(name, 'back?')
    return sink.texts().includes('back?')
  }
  await until('the link to be back', back, bench.bound)
  // A driver that has missed nothing has nothing to say.
  if (!publishing) return
  await publishing
  const arrived = () => sink.texts().includes('after the gap')
  await sink.until('what was published after the gap', arrived, bench.bound)
}

/** Opens a topic, or has nothing when the driver rejects it. */
async function trySubscribe(bench: Bench, driver: Driver) {
  const name = await bench.topic('during')
  const sink = recordingSink()
  return driver.subscribe(name, sink).then(
    (subscription) => ({ name, sink, subscription }),
    () => undefined,
  )
}
