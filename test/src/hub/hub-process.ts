// A hub as a process of its own, for the tests that kill and freeze one. It is asked by IPC.
import { memoryDriver } from '../../../src/drivers/memory.js'
import { startHub } from '../../../src/hub/index.js'

const driver = memoryDriver()
const hub = await startHub({
  address: process.argv[2]!,
  driver: {
    encoding: 'utf8',
    subscribe: async (topic, sink) => {
      if (topic === 'refused') throw new Error('Topic "refused" must not be read. Take another.')
      return driver.subscribe(topic, sink)
    },
    close: () => driver.close(),
    ...{ publish: (topic: string, payload: string | Uint8Array) => driver.publish(topic, payload) },
  },
  topicLinger: Number(process.argv[3] ?? 0),
})
process.on('message', () => process.send?.(hub.stats()))
process.send?.('listening')
