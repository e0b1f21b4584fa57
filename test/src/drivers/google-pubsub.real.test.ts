/** @needs Google's Pub/Sub emulator, or Go to build Google's pstest */
import { driverContract } from '../../../src/testing/index.js'
import { RUNNING_PUBSUB } from '../../brokers/google-pubsub.js'
import { PubSubFixture, pubsubHarness } from './google-pubsub-harness.js'
import type { Source } from './google-pubsub-harness.js'
import { expectLeftOut } from './left-out.js'

const sources: readonly Source[] = ['configuration', 'client']

describe('googlePubSubDriver keeps the contract', () => {
  const fixture = new PubSubFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  describe.each(sources)('by %s', (source) => {
    const { harness, end } = pubsubHarness(fixture, source)
    afterAll(end)

    for (const { name, run } of driverContract(harness)) test(name, run)

    test('nothing is left out but what left-out.json says', () => {
      expectLeftOut(RUNNING_PUBSUB ? 'google-pubsub, running already' : 'google-pubsub', harness)
    })
  })
})
