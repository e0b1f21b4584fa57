import fc from 'fast-check'
import { logCommandLists, logSetups } from '../support/model/log-commands.js'
import { LogWorld } from '../support/model/log-world.js'

const RUNS = Number(process.env['MODEL_RUNS'] ?? 200)

describe('the promise, on several servers that read one log', () => {
  test('holds for clients that go from one to another', async () => {
    await fc.assert(
      fc.asyncProperty(logSetups, logCommandLists, async (setup, commands) => {
        const world = new LogWorld(setup)
        for (const command of commands) await world.apply(command)
        await world.finish()
        await world.close()
      }),
      { numRuns: RUNS },
    )
  }, 600_000)
})
