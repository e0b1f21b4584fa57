/** @needs an AMQP 1.0 peer of the tests, which stands in for Azure Service Bus */
import { driverContract } from '../../../src/testing/index.js'
import { ServiceBusFixture, serviceBusHarness } from './azure-service-bus-harness.js'
import type { Source } from './azure-service-bus-harness.js'
import { measureDriver } from './figures.js'
import { frozenForLong } from './frozen.js'
import { expectLeftOut } from './left-out.js'

const sources: readonly Source[] = ['connection string', 'clients']

describe('azureServiceBusDriver keeps the contract', () => {
  const fixture = new ServiceBusFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  for (const source of sources) {
    describe(`by ${source}`, () => {
      const { harness, end } = serviceBusHarness(fixture, source)
      afterAll(end)

      for (const { name, run } of driverContract(harness)) test(name, run)

      if (source === sources[0]) {
        test('is ready within a second, and leaves nothing of 1,000 topics', async () => {
          const connections = () => fixture.connections()
          const patient = serviceBusHarness(fixture, source, { connectTimeout: 30_000 }).harness
          const options = { connections, messages: 500, readers: 4 }
          await measureDriver('Azure Service Bus (stand-in)', 1_000, patient, options)
        }, 180_000)
      }

      if (source === sources[0]) {
        test(
          'a broker frozen for twenty seconds under load: everything, or a gap in its place',
          () => frozenForLong(harness),
          180_000,
        )
      }

      test('nothing is left out but what left-out.json says', () => {
        expectLeftOut(`azure-service-bus, by ${source}`, harness)
      })
    })
  }
})
