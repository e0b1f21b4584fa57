/** @needs Kafka */
import * as kafkaJs from 'kafkajs'
import { driverContract } from '../../../src/testing/index.js'
import { RUNNING_KAFKA } from '../../brokers/kafka.js'
import { measureDriver } from './figures.js'
import { frozenForLong } from './frozen.js'
import {
  bringKafkaJs,
  FIGURES,
  kafkaFigures,
  KafkaFixture,
  kafkaHarness,
  PATIENT,
} from './kafka-harness.js'
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

      if (target === 'address') {
        test(FIGURES, async () => {
          const patient = kafkaHarness(fixture, target, kafkaJs, bringKafkaJs, PATIENT)
          await measureDriver('Kafka (kafkajs)', 100, patient, kafkaFigures(fixture))
        })
      }

      if (target === 'address' && !RUNNING_KAFKA) {
        test(
          'a broker frozen for twenty seconds under load: everything, or a gap in its place',
          () => frozenForLong(harness),
          180_000,
        )
      }

      test('nothing is left out but what left-out.json says', () => {
        expectLeftOut(`kafka, ${RUNNING_KAFKA ? 'running already' : `by ${target}`}`, harness)
      })
    })
  }
})
