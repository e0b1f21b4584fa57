import { checkAdvice } from './advice.js'
import type { Bench, Definition } from './bench.js'
import { recordingSink } from './sink.js'
import { check, inTime, rejection } from './until.js'

/** Rule 4: closing settles whatever else happens, and stops the messages. */
export const closing: readonly Definition[] = [
  {
    rule: 4,
    name: 'a message that comes after close is not handed over',
    async run(bench) {
      const driver = await bench.driver()
      const [closed, witness] = await bench.openMany(driver, 'late', 2)
      check(closed !== undefined && witness !== undefined, 'Two topics.')
      await bench.works(closed)
      await bench.close(closed)
      for (let index = 0; index < 20; index++) await bench.publish(closed.name, 'late')
      await bench.works(witness)
      const late = closed.sink.texts().filter((text) => text === 'late').length
      check(late === 0, `Expected nothing after close, got ${late} messages.`)
    },
  },
  {
    rule: 4,
    name: 'closing in the middle of receiving stops that topic and no other',
    async run(bench) {
      const driver = await bench.driver()
      const [closed, other] = await bench.openMany(driver, 'middle', 2)
      check(closed !== undefined && other !== undefined, 'Two topics.')
      const publishing = (async () => {
        for (let index = 0; index < 200; index++) {
          await bench.publish(closed.name, String(index))
          await bench.publish(other.name, String(index))
        }
      })()
      await closed.sink.received(20, bench.bound)
      await bench.close(closed)
      const atClose = closed.sink.count('message')
      await publishing
      await other.sink.received(200, bench.bound)
      const after = closed.sink.count('message')
      check(after === atClose, `Expected ${atClose} messages, as at close, got ${after}.`)
    },
  },
  {
    rule: 4,
    name: 'a topic that was closed opens again at once, and gets each message once',
    async run(bench) {
      const driver = await bench.driver()
      const name = await bench.topic('again')
      for (let round = 0; round < 20; round++) {
        const topic = await bench.open(driver, name)
        await bench.publish(name, `round ${round}`)
        await bench.works(topic)
        const texts = topic.sink.texts().filter((text) => text.startsWith('round'))
        check(
          texts.length === 1 && texts[0] === `round ${round}`,
          `Expected round ${round} once, got ${JSON.stringify(texts)}.`,
        )
        await bench.close(topic)
      }
    },
  },
  {
    rule: 4,
    name: 'closing a driver while it subscribes settles both',
    async run(bench) {
      for (let round = 0; round < 5; round++) {
        const driver = await bench.driver()
        const name = await bench.topic('pending')
        const subscribing = Promise.allSettled([driver.subscribe(name, recordingSink())])
        await inTime('close while subscribing', driver.close(), bench.bound)
        await inTime('subscribe while closing', subscribing, bench.bound)
      }
    },
  },
  {
    rule: 4,
    name: 'a closed driver takes no topics, and closing it again does nothing',
    async run(bench) {
      const driver = await bench.driver()
      await bench.works(await bench.open(driver, await bench.topic('closed')))
      const closing = Promise.all([driver.close(), driver.close()])
      await inTime('closing a driver twice', closing, bench.bound)
      await inTime('closing it again', driver.close(), bench.bound)
      const topic = await bench.topic('closed')
      const subscribing = driver.subscribe(topic, recordingSink())
      const error = await rejection('subscribe on a closed driver', subscribing, bench.bound)
      checkAdvice(error, bench.harness.advice)
    },
  },
  {
    rule: 4,
    name: 'closing settles while the link is cut',
    needs: ['cut'],
    async run(bench) {
      for (let round = 0; round < 5; round++) {
        await closeDuring(bench, async () => bench.use('cut')())
      }
    },
  },
  {
    rule: 4,
    name: 'closing settles while the broker is killed and started again',
    needs: ['restart'],
    run: (bench) => closeDuring(bench, () => bench.use('restart')()),
  },
  {
    rule: 4,
    name: 'closing settles while the broker is frozen',
    needs: ['freeze'],
    async run(bench) {
      const driver = await bench.driver()
      const [topic] = await bench.openMany(driver, 'frozen', 2)
      check(topic !== undefined, 'A topic.')
      const thaw = await bench.use('freeze')()
      try {
        await bench.close(topic)
        await inTime('closing a driver', driver.close(), bench.bound)
      } finally {
        await thaw()
      }
    },
  },
]

/** Closes some topics, and then a driver with others, in the middle of something. */
async function closeDuring(bench: Bench, breakIt: () => Promise<void>): Promise<void> {
  const driver = await bench.driver()
  const topics = await bench.openMany(driver, 'during', 6)
  for (const topic of topics) await bench.works(topic)
  const breaking = breakIt()
  try {
    await Promise.all(topics.slice(0, 3).map((topic) => bench.close(topic)))
    await inTime('closing a driver', driver.close(), bench.bound)
  } finally {
    await breaking
  }
}
