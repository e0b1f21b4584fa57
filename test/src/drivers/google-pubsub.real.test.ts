/** @needs Google's Pub/Sub emulator, or Go to build Google's pstest */
import { driverContract } from '../../../src/testing/index.js'
import type { DriverHarness } from '../../../src/testing/index.js'
import { RUNNING_PUBSUB } from '../../brokers/google-pubsub.js'
import { measureDriver } from './figures.js'
import { frozenForLong } from './frozen.js'
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

    if (source === sources[0]) {
      test('is ready within a second, and leaves nothing of 1,000 topics', async () => {
        const connections = () => fixture.connections
        // With a key for the order, the servers wait for each message before they send the next.
        const publish: DriverHarness['publish'] = (topic, payload) =>
          fixture.publish(topic, payload, {}, '')
        const patient = {
          ...pubsubHarness(fixture, source, { subscribeTimeout: 60_000 }).harness,
          publish,
        }
        const title = `Google Pub/Sub (${fixture.server?.kind ?? 'running already'})`
        // Google lets a connection have 100 streams, and each topic of the broker's needs one.
        const options = { connections, maxConnections: 12, messages: 500, readers: 4 }
        await measureDriver(title, 1_000, patient, options)
      }, 180_000)
    }

    if (source === sources[0] && !RUNNING_PUBSUB) {
      test(
        'a broker frozen for twenty seconds under load: everything, or a gap in its place',
        () => frozenForLong(harness),
        180_000,
      )
    }

    test('nothing is left out but what left-out.json says', () => {
      const ours = `google-pubsub, by ${source}`
      expectLeftOut(RUNNING_PUBSUB ? `${ours}, running already` : ours, harness)
    })
  })
})
