import { hubDirectory, hubDriver } from '../../../src/hub/index.js'
import type { Hub } from '../../../src/hub/index.js'
import type { MemoryDriver } from '../../../src/drivers/memory.js'
import { logContract } from '../../../src/testing/index.js'
import { clusterSuite } from '../directories/cluster-suite.js'
import { directoryContract } from '../directories/contract.js'
import { localHub, socketFolder } from './in-process.js'

const NOT_HERE = 'test/src/hub/hub.real.test.ts has it, with a hub that is a process'

describe('a hub in this process', () => {
  const folder = socketFolder()
  const address = folder.path('hub')
  let hub: Hub
  let broker: MemoryDriver

  beforeAll(async () => {
    ;({ hub, broker } = await localHub(address))
  })
  afterAll(async () => {
    await hub.close()
    folder.remove()
  })

  describe('its driver keeps the contract of a log', () => {
    const harness = {
      create: () => hubDriver(address),
      publish: (topic: string, payload: Uint8Array) => void broker.publish(topic, payload),
      without: Object.fromEntries(
        [
          ...['restart', 'freeze', 'cut', 'stall', 'refuse', 'leftovers', 'subscriptions'],
          ...['badTopics', 'deniedTopic', 'unreachable', 'badLogin', 'brought'],
        ].map((capability) => [capability, NOT_HERE]),
      ),
    }
    for (const { name, run } of logContract(harness)) test(name, run)
  })

  describe('its directory keeps the contract', () => {
    const make = () => hubDirectory(address, { lease: 900 })
    for (const { name, run } of directoryContract(make)) test(name, run)
    for (const { name, run } of clusterSuite(make)) test(name, run)
  })
})
