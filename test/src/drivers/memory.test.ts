import { memoryDriver } from '../../../src/drivers/memory.js'
import type { MemoryDriver } from '../../../src/drivers/memory.js'
import { driverContract, recordingSink } from '../../../src/testing/index.js'
import type { DriverHarness } from '../../../src/testing/index.js'
import { expectLeftOut } from './left-out.js'

let driver: MemoryDriver

const noBroker = 'it is no broker outside this process'
const harness: DriverHarness = {
  create: () => (driver = memoryDriver()),
  publish: (topic, payload) => void driver.publish(topic, payload),
  without: {
    fanOut: 'each driver is a broker of its own, for one process',
    restart: noBroker,
    freeze: noBroker,
    cut: noBroker,
    stall: noBroker,
    refuse: noBroker,
    leftovers: noBroker,
    subscriptions: noBroker,
    badLogin: noBroker,
    unreachable: noBroker,
    brought: noBroker,
    badTopics: 'it holds every name',
    deniedTopic: 'it knows no permissions',
  },
}

describe('memoryDriver keeps the contract', () => {
  for (const { name, run } of driverContract(harness)) test(name, run)

  test('nothing is left out but what left-out.json says', () => {
    expectLeftOut('memory', harness)
  })
})

test('publish says whether somebody was subscribed', async () => {
  const memory = memoryDriver()
  const sink = recordingSink()
  expect(memory.publish('prices', '1')).toBe(false)
  const subscription = await memory.subscribe('prices', sink)
  expect(memory.publish('prices', '2')).toBe(true)
  await subscription.close()
  expect(memory.publish('prices', '3')).toBe(false)
  expect(sink.texts()).toEqual(['2'])
})
