import fc from 'fast-check'
import { MODEL_SEED } from '../support/model-seed.js'
import { logCommandLists, logSetups } from '../support/model/log-commands.js'
import type { LogCommand, LogSetup } from '../support/model/log-commands.js'
import { LogWorld } from '../support/model/log-world.js'

const RUNS = Number(process.env['MODEL_RUNS'] ?? 200)

/** Told of a loss on a connection that broke at once, on a server that had still the former log. */
const FOUND: [LogSetup, LogCommand[]] = [
  {
    ...{ bounds: 'tight', maxAge: 2_000, topicLinger: 0, heartbeat: 'comment' },
    ...{ heartbeatInterval: 0, highWaterMark: 1 },
  },
  [
    { do: 'lag', server: 0, lags: true },
    { do: 'connect', client: 0, server: 1, naming: 'last', received: 0 },
    { do: 'connect', client: 1, server: 0, naming: 'last', received: 0 },
    { do: 'remake' },
    { do: 'subscribe', client: 0, topic: 0, rewind: 0 },
    { do: 'publish', topics: [0], count: 20, size: 400, step: 1 },
    { do: 'connect', client: 0, server: 0, naming: 'last', received: 0.1 },
    { do: 'publish', topics: [0], count: 1, size: 400, step: 1 },
    { do: 'drop', client: 0, received: 0 },
    { do: 'turn' },
  ],
]

describe('the promise, on several servers that read one log', () => {
  test('holds for clients that go from one to another', async () => {
    await fc.assert(
      fc.asyncProperty(logSetups, logCommandLists, async (setup, commands) => {
        const world = new LogWorld(setup)
        for (const command of commands) await world.apply(command)
        await world.finish()
        await world.close()
      }),
      { numRuns: RUNS, examples: [FOUND], ...MODEL_SEED },
    )
  }, 600_000)
})
