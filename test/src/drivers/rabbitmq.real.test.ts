/** @needs RabbitMQ */
import { driverContract } from '../../../src/testing/index.js'
import { connectionsTo } from '../../brokers/process.js'
import { RUNNING_RABBITMQ } from '../../brokers/rabbitmq.js'
import { measureDriver } from './figures.js'
import { frozenForLong } from './frozen.js'
import { expectLeftOut } from './left-out.js'
import { QUICK, RabbitmqFixture, rabbitmqHarness } from './rabbitmq-harness.js'
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

      if (source === 'address') {
        test('is ready within 100 ms, and leaves nothing of 1,000 topics', async () => {
          const connections = () => connectionsTo(fixture.link.port)
          const patient = rabbitmqHarness(fixture, source, { ...QUICK, subscribeTimeout: 20_000 })
          await measureDriver('RabbitMQ (amqplib)', 100, patient.harness, { connections })
        }, 180_000)
      }

      if (source === 'address' && !RUNNING_RABBITMQ) {
        test(
          'a broker frozen for twenty seconds under load: everything, or a gap in its place',
          () => frozenForLong(harness),
          180_000,
        )
      }

      test('nothing is left out but what left-out.json says', () => {
        const ours = `rabbitmq, by ${source}`
        expectLeftOut(RUNNING_RABBITMQ ? `${ours}, running already` : ours, harness)
      })
    })
  }
})
