import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { memoryDriver, Streamer } from '../../src/index.js'
import { FakeResponse, fakeRequest } from '../support/fake-response.js'
import { until } from '../support/until.js'

const MEBIBYTE = 1024 * 1024
const BUDGET = 4 * MEBIBYTE
const READERS = 20

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function buffers(): number {
  collect()
  return process.memoryUsage().arrayBuffers
}

test('clients that do not read cost the history and one batch each, whatever is published', async () => {
  const driver = memoryDriver()
  const streamer = new Streamer(driver, { history: { maxBytes: BUDGET } })
  const responses: FakeResponse[] = []
  for (let i = 0; i < READERS; i++) {
    const client = await streamer.newClient()
    await streamer.subscribe(client.id, 'ticks')
    const response = new FakeResponse()
    response.stopReading()
    await streamer.handle(fakeRequest(client.id), response.asResponse)
    responses.push(response)
  }
  const payload = 'x'.repeat(20_000)
  const before = buffers()
  for (let published = 0; published < 64 * MEBIBYTE; published += payload.length) {
    driver.publish('ticks', payload)
    await nextTurn()
  }
  // What is collected is let go of by another thread, some time later.
  const limit = BUDGET + READERS * 128 * 1024 + 4 * MEBIBYTE
  await until('all but the history to be let go', () => buffers() - before < limit, 5_000)
  const waiting = responses.reduce((sum, response) => sum + response.writableLength, 0)
  expect(waiting).toBeLessThan(READERS * 128 * 1024)
  for (const response of responses) response.destroy()
  await streamer.close()
})
