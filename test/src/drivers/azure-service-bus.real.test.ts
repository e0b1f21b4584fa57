/** @needs an AMQP 1.0 peer of the tests, which stands in for Azure Service Bus */
import { driverContract } from '../../../src/testing/index.js'
import { ServiceBusFixture, serviceBusHarness } from './azure-service-bus-harness.js'
import type { Source } from './azure-service-bus-harness.js'
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

      test('nothing is left out but what left-out.json says', () => {
        expectLeftOut(`azure-service-bus, by ${source}`, harness)
      })
    })
  }
})
