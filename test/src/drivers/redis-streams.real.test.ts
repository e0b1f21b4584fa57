/** @needs a Redis server */
import { driverContract, logContract } from '../../../src/testing/index.js'
import { RUNNING_REDIS } from '../../brokers/redis.js'
import { connectionsTo } from '../../brokers/process.js'
import { measureDriver } from './figures.js'
import { frozenForLong } from './frozen.js'
import { expectLeftOut } from './left-out.js'
import { libraries, RedisFixture, sources } from './redis-harness.js'
import { redisLogHarness, redisStreamsHarness } from './redis-streams-harness.js'

describe('redisStreamsDriver keeps the contract', () => {
  const fixture = new RedisFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  for (const library of libraries) {
    for (const source of sources) {
      describe(`with ${library}, by ${source}`, () => {
        const { harness, end } = redisStreamsHarness(fixture, library, source)
        afterAll(end)

        for (const { name, run } of driverContract(harness)) test(name, run)

        if (source === 'url') {
          test('is ready within 100 ms, and leaves nothing of 1,000 topics', async () => {
            const connections = () => connectionsTo(fixture.link.port)
            await measureDriver(`Redis Streams (${library})`, 100, harness, { connections })
          })
        }

        if (source === 'url' && library === libraries[0] && !RUNNING_REDIS) {
          test(
            'a broker frozen for twenty seconds under load: everything, or a gap in its place',
            () => frozenForLong(harness),
            120_000,
          )
        }

        test('nothing is left out but what left-out.json says', () => {
          expectLeftOut(RUNNING_REDIS ? 'redis-streams, running already' : 'redis-streams', harness)
        })
      })
    }
  }

  describe.each(libraries)('with %s, from one stream for all topics', (library) => {
    const { harness, end } = redisLogHarness(fixture, library)
    afterAll(end)

    for (const { name, run } of driverContract(harness)) test(name, run)
    for (const { name, run } of logContract(harness)) test(name, run)

    test('nothing is left out but what left-out.json says', () => {
      const broker = 'redis-streams, one for all topics'
      expectLeftOut(RUNNING_REDIS ? `${broker}, running already` : broker, harness)
    })
  })
})
