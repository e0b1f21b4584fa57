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

/**
 * A client of `b` that had got entry 4 of `a` and `b` added `a` with its past of 1 to 4, and was cut
 * after 1, or after 3: what was left was missing in silence, and 4 came with an id before the last one.
 */
const CUT_AT_A_TIE: [LogSetup, LogCommand[]][] = [0.7, 0.9].map((received) => [
  {
    ...{ bounds: 'roomy', maxAge: 70_000, topicLinger: 500, heartbeat: 'comment' },
    ...{ heartbeatInterval: 0, highWaterMark: 16_384 },
  },
  [
    { do: 'subscribe', client: 0, topic: 1, rewind: 0 },
    { do: 'connect', client: 0, server: 0, naming: 'last', received: 1 },
    // It has `a` open there.
    { do: 'connect', client: 2, server: 0, naming: 'last', received: 1 },
    { do: 'turn' },
    { do: 'publish', topics: [0], count: 3, size: 0, step: 1 },
    { do: 'publish', topics: [0, 1], count: 1, size: 0, step: 1 },
    { do: 'turn' },
    { do: 'drop', client: 0, received: 1 },
    { do: 'subscribe', client: 0, topic: 0, rewind: 4 },
    { do: 'connect', client: 0, server: 0, naming: 'last', received: 1 },
    { do: 'turn' },
    { do: 'drop', client: 0, received },
    { do: 'turn' },
    { do: 'connect', client: 0, server: 0, naming: 'last', received: 1 },
  ],
])

/**
 * Told of a loss on one server, it named the later position to the next one: only the first knew
 * what it had been told, and had it told again.
 */
const TOLD_ON_BOTH: [LogSetup, LogCommand[]] = [
  {
    ...{ bounds: 'tight', maxAge: 2_000, topicLinger: 0, heartbeat: 'comment' },
    ...{ heartbeatInterval: 0, highWaterMark: 1 },
  },
  [
    { do: 'subscribe', client: 0, topic: 2, rewind: 0 },
    { do: 'connect', client: 1, server: 0, naming: 'last', received: 0 },
    { do: 'stopReading', client: 1 },
    { do: 'publish', topics: [2], count: 1, size: 0, step: 1 },
    { do: 'subscribe', client: 0, topic: 1, rewind: 0 },
    { do: 'publish', topics: [1], count: 1, size: 0, step: 1 },
    { do: 'subscribe', client: 1, topic: 1, rewind: 3 },
    { do: 'subscribe', client: 1, topic: 2, rewind: 3 },
    { do: 'connect', client: 1, server: 1, naming: 'last', received: 0 },
    { do: 'turn' },
    { do: 'publish', topics: [0, 1, 2], count: 1, size: 0, step: 1 },
    { do: 'turn' },
    { do: 'connect', client: 1, server: 0, naming: 'last', received: 1 },
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
      { numRuns: RUNS, examples: [FOUND, ...CUT_AT_A_TIE, TOLD_ON_BOTH], ...MODEL_SEED },
    )
  }, 600_000)
})
