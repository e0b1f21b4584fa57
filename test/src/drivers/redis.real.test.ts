/** @needs a Redis server */
import { driverContract } from '../../../src/testing/index.js'
import { RUNNING_REDIS } from '../../brokers/redis.js'
import { expectLeftOut } from './left-out.js'
import { libraries, RedisFixture, redisHarness, sources } from './redis-harness.js'

describe('redisDriver keeps the contract', () => {
  const fixture = new RedisFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  for (const library of libraries) {
    for (const source of sources) {
      describe(`with ${library}, by ${source}`, () => {
        const { harness, end } = redisHarness(fixture, library, source)
        afterAll(end)

        for (const { name, run } of driverContract(harness)) test(name, run)

        test('nothing is left out but what left-out.json says', () => {
          expectLeftOut(RUNNING_REDIS ? 'redis, running already' : 'redis', harness)
        })
      })
    }
  }
})
