/** @needs a Redis server */
import { redisDirectory } from '../../../src/directories/redis.js'
import type { RedisServer } from '../../brokers/redis.js'
import { startRedis } from '../../brokers/redis.js'
import { libraries } from '../drivers/redis-harness.js'
import { clusterSuite } from './cluster-suite.js'
import { directoryContract } from './contract.js'

describe('redisDirectory', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())

  for (const library of libraries) {
    // The contract ends with servers that are gone, and still count for as long as their lease.
    const make = (cluster: string) => () =>
      redisDirectory(redis.adminUrl, { library, prefix: `${library}-${cluster}:`, lease: 900 })
    describe(`with ${library}`, () => {
      for (const { name, run } of directoryContract(make('contract'))) test(name, run)
      for (const { name, run } of clusterSuite(make('cluster'))) test(name, run)
    })
  }
})
