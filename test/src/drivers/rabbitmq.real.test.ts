/** @needs RabbitMQ */
import { driverContract } from '../../../src/testing/index.js'
import { RUNNING_RABBITMQ } from '../../brokers/rabbitmq.js'
import { expectLeftOut } from './left-out.js'
import { RabbitmqFixture, rabbitmqHarness } from './rabbitmq-harness.js'
import type { Source } from './rabbitmq-harness.js'

const sources: readonly Source[] = ['address', 'connection']

describe('rabbitmqDriver keeps the contract', () => {
  const fixture = new RabbitmqFixture()
  // Where it has to be installed first, that takes its time.
  beforeAll(() => fixture.start(), 300_000)
  afterAll(() => fixture.stop())

  for (const source of sources) {
    describe(`by ${source}`, () => {
      const { harness, end } = rabbitmqHarness(fixture, source)
      afterAll(end)

      // Starting RabbitMQ takes seconds by itself, and many more on a busy machine.
      for (const { name, run } of driverContract(harness)) test(name, run, 180_000)

      test('nothing is left out but what left-out.json says', () => {
        const ours = `rabbitmq, by ${source}`
        expectLeftOut(RUNNING_RABBITMQ ? 'rabbitmq, running already' : ours, harness)
      })
    })
  }
})
