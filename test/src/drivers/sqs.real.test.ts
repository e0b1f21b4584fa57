/** @needs fauxqs, which stands in for SNS and SQS */
import { driverContract } from '../../../src/testing/index.js'
import { connectionsTo } from '../../brokers/process.js'
import { RUNNING_SQS } from '../../brokers/sqs.js'
import { measureDriver } from './figures.js'
import { frozenForLong } from './frozen.js'
import { expectLeftOut } from './left-out.js'
import { SqsFixture, sqsHarness } from './sqs-harness.js'
import type { Source } from './sqs-harness.js'

const sources: readonly Source[] = ['configuration', 'clients']

describe('sqsDriver keeps the contract', () => {
  const fixture = new SqsFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  for (const source of sources) {
    describe(`by ${source}`, () => {
      const { harness, end } = sqsHarness(fixture, source)
      afterAll(end)

      for (const { name, run } of driverContract(harness)) test(name, run)

      if (source === sources[0]) {
        test('is ready within a second, and leaves nothing of 1,000 topics', async () => {
          const connections = () => connectionsTo(fixture.link.port)
          const patient = sqsHarness(fixture, source, { subscribeTimeout: 60_000 }).harness
          const options = { connections, messages: 500, readers: 4 }
          await measureDriver('SQS and SNS (fauxqs)', 1_000, patient, options)
        }, 180_000)
      }

      if (source === sources[0] && !RUNNING_SQS) {
        test(
          'a broker frozen for twenty seconds under load: everything, or a gap in its place',
          () => frozenForLong(harness),
          180_000,
        )
      }

      test('nothing is left out but what left-out.json says', () => {
        const ours = `sqs, by ${source}`
        expectLeftOut(RUNNING_SQS ? `${ours}, running already` : ours, harness)
      })
    })
  }
})
