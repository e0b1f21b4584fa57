/** @needs a NATS server with JetStream */
import { driverContract, logContract } from '../../../src/testing/index.js'
import { RUNNING_JETSTREAM } from '../../brokers/nats.js'
import { connectionsTo } from '../../brokers/process.js'
import { measureDriver } from './figures.js'
import { JetStreamFixture, jetstreamHarness } from './jetstream-harness.js'
import { frozenForLong } from './frozen.js'
import { expectLeftOut } from './left-out.js'
import { libraries } from './nats-harness.js'
import type { Source } from './nats-harness.js'

const sources: readonly Source[] = ['address', 'connection']

describe('jetstreamDriver keeps the contract', () => {
  const fixture = new JetStreamFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  for (const [library, connect] of libraries) {
    for (const source of sources) {
      describe(`with ${library}, by ${source}`, () => {
        const { harness, end } = jetstreamHarness(fixture, library, connect, source)
        afterAll(end)

        for (const { name, run } of driverContract(harness)) test(name, run)
        for (const { name, run } of logContract(harness)) test(name, run)

        if (source === 'address') {
          test('is ready within 100 ms, and leaves nothing of 1,000 topics', async () => {
            const connections = () => connectionsTo(fixture.link.port)
            await measureDriver(`JetStream (${library})`, 100, harness, { connections })
          })
        }

        if (source === 'address' && library === libraries[0]?.[0] && !RUNNING_JETSTREAM) {
          test(
            'a broker frozen for twenty seconds under load: everything, or a gap in its place',
            () => frozenForLong(harness),
            120_000,
          )
        }

        test('nothing is left out but what left-out.json says', () => {
          const ours = `jetstream, by ${source}, with ${library}`
          expectLeftOut(RUNNING_JETSTREAM ? `${ours}, running already` : ours, harness)
        })
      })
    }
  }
})
