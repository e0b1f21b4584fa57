/** @needs Kafka */
import * as kafkaJs from 'kafkajs'
import { driverContract } from '../../../src/testing/index.js'
import { RUNNING_KAFKA } from '../../brokers/kafka.js'
import { bringKafkaJs, KafkaFixture, kafkaHarness } from './kafka-harness.js'
import type { Target } from './kafka-harness.js'
import { expectLeftOut } from './left-out.js'

// Kafka takes seconds to start, and on a busy machine many.
jest.setTimeout(240_000)

const targets: readonly Target[] = ['address', 'client']

describe('kafkaDriver keeps the contract', () => {
  const fixture = new KafkaFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  for (const target of targets) {
    describe(`with kafkajs, by ${target}`, () => {
      const harness = kafkaHarness(fixture, target, kafkaJs, bringKafkaJs)

      for (const { name, run } of driverContract(harness)) test(name, run)

      test('nothing is left out but what left-out.json says', () => {
        expectLeftOut(RUNNING_KAFKA ? 'kafka, running already' : `kafka, by ${target}`, harness)
      })
    })
  }
})
