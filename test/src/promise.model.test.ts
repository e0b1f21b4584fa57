import fc from 'fast-check'
import { MODEL_SEED } from '../support/model-seed.js'
import { commandLists, setups } from '../support/model/commands.js'
import { World } from '../support/model/world.js'

const RUNS = Number(process.env['MODEL_RUNS'] ?? 1_000)

describe('the promise', () => {
  test('every message arrives in order and once, or the client is told in its place', async () => {
    await fc.assert(
      fc.asyncProperty(setups, commandLists, async (setup, commands) => {
        const world = new World(setup)
        for (const command of commands) await world.apply(command)
        if (!setup.abrupt) await world.finish()
        await world.close()
      }),
      { numRuns: RUNS, ...MODEL_SEED },
    )
  }, 600_000)
})
