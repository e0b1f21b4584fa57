/** @needs fauxqs, which stands in for SNS and SQS */
import { driverContract } from '../../../src/testing/index.js'
import { RUNNING_SQS } from '../../brokers/sqs.js'
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

      test('nothing is left out but what left-out.json says', () => {
        expectLeftOut(RUNNING_SQS ? 'sqs, running already' : 'sqs', harness)
      })
    })
  }
})
