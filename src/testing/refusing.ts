import type { Driver } from '../driver.js'
import { checkAdvice, checkHides, checkNames } from './advice.js'
import type { Bench, Definition } from './bench.js'
import { useAndClose } from './leaving.js'
import { freePort } from './process.js'
import { ResourceWatch } from './resources.js'
import { recordingSink } from './sink.js'
import { check, inTime, rejection } from './until.js'

/** Rules 6 and 7: what can't be is refused with help, and what is the user's stays theirs. */
export const refusing: readonly Definition[] = [
  {
    rule: 6,
    name: 'names that the broker cannot hold are refused, and harm no other topic',
    needs: ['badTopics'],
    async run(bench) {
      const driver = await bench.driver()
      const good = await bench.open(driver, await bench.topic('good'))
      const bad = bench.use('badTopics')
      check(bad.length > 0, 'Expected the harness to name bad topics, there are none.')
      for (const name of bad) await refused(bench, driver, name)
      await Promise.all(bad.map((name) => refused(bench, driver, name)))
      await bench.works(good)
      check(good.sink.count('gap') === 0, 'Expected the good topic to have no gap.')
      await bench.works(await bench.open(driver, await bench.topic('good')))
    },
  },
  {
    rule: 6,
    name: 'a topic without permission is refused, and harms no other topic',
    needs: ['deniedTopic'],
    async run(bench) {
      const driver = await bench.driver()
      const denied = bench.use('deniedTopic')
      const good = await bench.open(driver, await bench.topic('good'))
      const errors = await Promise.all([1, 2, 3].map(() => refused(bench, driver, denied)))
      for (const error of errors) checkAdvice(error, bench.harness.advice)
      const [next] = await Promise.all([
        bench.topic('next').then((name) => bench.open(driver, name)),
        refused(bench, driver, denied),
      ])
      await bench.works(good)
      await bench.works(next)
      check(good.sink.count('gap') === 0, 'Expected the good topic to have no gap.')
    },
  },
  {
    rule: 6,
    name: 'a broker that is not there: subscribe rejects in time, names the address and advises',
    needs: ['unreachable'],
    async run(bench) {
      const addresses = [`127.0.0.1:${await freePort()}`, 'no-such-host.invalid:1234']
      for (const address of addresses) {
        const driver = bench.keep(await bench.use('unreachable')(address))
        // Twice: that it failed once must not stand in the way of the next attempt.
        for (let attempt = 0; attempt < 2; attempt++) {
          const error = await refused(bench, driver, await bench.topic('nowhere'))
          checkNames(error, address)
          checkAdvice(error, bench.harness.advice)
        }
        await refusesToConnect(bench, driver)
      }
    },
  },
  {
    rule: 6,
    name: 'credentials that the broker refuses: subscribe rejects in time, advises and hides them',
    needs: ['badLogin'],
    async run(bench) {
      const { driver, address, secret } = await bench.use('badLogin')()
      bench.keep(driver)
      for (let attempt = 0; attempt < 2; attempt++) {
        const error = await refused(bench, driver, await bench.topic('login'))
        checkNames(error, address)
        checkAdvice(error, bench.harness.advice)
        checkHides(error, secret)
      }
      await refusesToConnect(bench, driver)
    },
  },
  {
    rule: 7,
    name: 'a connection that the user brought works, and still does after the driver is closed',
    needs: ['brought'],
    async run(bench) {
      const { driver: make, check: stillWorks, end } = await bench.use('brought')()
      try {
        const driver = bench.keep(await make())
        const topics = await bench.openMany(driver, 'brought', 3)
        for (const topic of topics) await bench.works(topic)
        await inTime('closing a driver', driver.close(), bench.bound)
        await inTime('the connection works', stillWorks(), bench.bound)
        const [topic] = topics
        check(topic !== undefined, 'A topic.')
        const before = topic.sink.entries.length
        await bench.publish(topic.name, 'late')
        await inTime('the connection works', stillWorks(), bench.bound)
        check(topic.sink.entries.length === before, 'Expected nothing after the driver was closed.')
      } finally {
        await end()
      }
    },
  },
  {
    rule: 7,
    name: 'a driver that is closed leaves no timer, socket or listener to a connection brought',
    needs: ['brought'],
    async run(bench) {
      const watch = new ResourceWatch()
      const brought = await watch.run(() => bench.use('brought')())
      try {
        const before = brought.listeners()
        // What the connection makes once, for whoever is the first to use it, is the user's.
        await useAndClose(bench, () => brought.driver(), watch)
        await watch.mark()
        for (let round = 0; round < 3; round++) {
          await useAndClose(bench, () => brought.driver(), watch)
        }
        await watch.nothingLeft('after close')
        const after = brought.listeners()
        check(
          after <= before,
          `Expected ${before} listeners on the connection, as before, there are ${after}.`,
        )
      } finally {
        watch.end()
        await brought.end()
      }
    },
  },
]

/** A driver that can connect before there is a topic finds out what the first subscribe would. */
async function refusesToConnect(bench: Bench, driver: Driver): Promise<void> {
  const { connect } = driver as { connect?: () => Promise<unknown> }
  if (connect === undefined) return
  const error = await rejection('connect', connect.call(driver), bench.bound)
  checkAdvice(error, bench.harness.advice)
}

async function refused(bench: Bench, driver: Driver, name: string): Promise<Error> {
  const sink = recordingSink()
  const what = `subscribe to ${JSON.stringify(name).slice(0, 60)}`
  const error = await rejection(what, driver.subscribe(name, sink), bench.bound)
  check(sink.entries.length === 0, `Expected nothing from a topic that was refused.`)
  return error
}
