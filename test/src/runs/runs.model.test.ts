import fc from 'fast-check'
import { MODEL_SEED } from '../../support/model-seed.js'
import type { Command } from './model.js'
import { RunsWorld } from './model.js'

const RUNS = Number(process.env['MODEL_RUNS'] ?? 70)

const name = fc.constantFrom('a', 'b')
const server = fc.nat(2)
const chance = fc.double({ min: 0, max: 1, noNaN: true })
const which = fc.nat(9)

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('start'), name, server }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('startTwice'), name, server }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append'),
      name,
      parts: fc.array(fc.string({ maxLength: 8 }), { minLength: 1, maxLength: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stop'), name, server }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end'), name, last: fc.string() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('freeze'), name, server }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash'), name }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wake'), which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('read'), name, server }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('cut'), which, at: chance, server }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stranger'), name, server }) },
)

test('every reader gets what the producer has appended, in order and once, and how it ended', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.array(command, { maxLength: 20, size: 'max' }),
      async (servers, commands) => {
        const world = new RunsWorld(servers)
        try {
          for (const command of commands) await world.apply(command)
          await world.finish()
        } finally {
          await world.close()
        }
      },
    ),
    { numRuns: RUNS, ...MODEL_SEED },
  )
}, 600_000)
