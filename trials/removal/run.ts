/**
 * `npm run test:removal`: clients that move from server to server while they are removed, on Redis
 * and on NATS. `-- --seed` has a run come again, as far as the network lets it.
 */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { startNats } from '../../test/brokers/nats.js'
import { startRedis } from '../../test/brokers/redis.js'
import { natsDirectory } from '../../src/directories/nats.js'
import { redisDirectory } from '../../src/directories/redis.js'
import type { Parts } from '../kit/parts.js'
import { conclude, namesOf, runParts } from '../kit/parts.js'
import { removalRounds } from './rounds.js'

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    rounds: { type: 'string', default: '1000' },
    only: { type: 'string' },
  },
})

const seed = values.seed === undefined ? randomInt(1_000_000) : Number(values.seed)
if (!Number.isInteger(seed)) throw new Error(`--seed takes a whole number; it got ${values.seed}.`)
const rounds = Number(values.rounds)
if (!(Number.isInteger(rounds) && rounds > 0)) {
  throw new Error(`--rounds takes a whole number from 1; it got ${values.rounds}.`)
}

const parts: Parts = {
  async redis() {
    const redis = await startRedis()
    try {
      const directory = () => redisDirectory(redis.adminUrl)
      return await removalRounds({ title: 'a Redis directory', directory }, rounds, seed)
    } finally {
      await redis.stop()
    }
  },
  async nats() {
    const nats = await startNats({ jetstream: true })
    try {
      const directory = () => natsDirectory(nats.url)
      return await removalRounds({ title: 'a NATS directory', directory }, rounds, seed)
    } finally {
      await nats.stop()
    }
  },
}

conclude(await runParts(parts, namesOf(parts, values.only)))
// Left to end by itself, Node 20 may spin for ever over a pipe of tsx's compiler that has ended.
process.exit()
