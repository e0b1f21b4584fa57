/** @needs a NATS server */
import { driverContract } from '../../../src/testing/index.js'
import { RUNNING_NATS } from '../../brokers/nats.js'
import { connectionsTo } from '../../brokers/process.js'
import { measureDriver } from './figures.js'
import { frozenForLong } from './frozen.js'
import { expectLeftOut } from './left-out.js'
import { libraries, NatsFixture, natsHarness } from './nats-harness.js'
import type { Source } from './nats-harness.js'

const sources: readonly Source[] = ['address', 'connection']

describe('natsDriver keeps the contract', () => {
  const fixture = new NatsFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  for (const [library, connect] of libraries) {
    for (const source of sources) {
      describe(`with ${library}, by ${source}`, () => {
        const { harness, end } = natsHarness(fixture, library, connect, source)
        afterAll(end)

        for (const { name, run } of driverContract(harness)) test(name, run)

        if (source === 'address') {
          test('is ready within 100 ms, and leaves nothing of 1,000 topics', async () => {
            const connections = () => connectionsTo(fixture.link.port)
            await measureDriver(`NATS (${library})`, 100, harness, { connections })
          })
        }

        if (source === 'address' && library === libraries[0]?.[0] && !RUNNING_NATS) {
          test(
            'a broker frozen for twenty seconds under load: everything, or a gap in its place',
            () => frozenForLong(harness),
            120_000,
          )
        }

        test('nothing is left out but what left-out.json says', () => {
          const ours = `nats, by ${source}, with ${library}`
          expectLeftOut(RUNNING_NATS ? `${ours}, running already` : ours, harness)
        })
      })
    }
  }
})
