import fc from 'fast-check'
import { MODEL_SEED } from '../../support/model-seed.js'
import type { Run } from '../../support/takeover/explore.js'
import { explore } from '../../support/takeover/explore.js'
import type { Scenario } from '../../support/takeover/removals.js'
import { runRemoval } from '../../support/takeover/removals.js'

// Each schedule is a small cluster of its own.
jest.setTimeout(120_000)

const scenarios: Scenario[] = [
  { how: 'remove', servers: 2 },
  { how: 'remove', servers: 3 },
  { how: 'revoke', servers: 2 },
  { how: 'revoke', servers: 3 },
  // What can't come back because it is refused hides what was not ended.
  { how: 'revoke', servers: 2, refusedFor: 0 },
  { how: 'revoke', servers: 3, refusedFor: 0 },
]

/**
 * A client moves from server to server while it is removed, or its owner revoked. At each step
 * another call may be answered first, the client may go on before it has an answer, and a server may
 * be killed, or stopped until it wakes up at any later step.
 */
describe.each(scenarios)(
  '$how over $servers servers leaves no stream and no record',
  (scenario) => {
    const run = (schedule: Parameters<typeof runRemoval>[1]) => runRemoval(scenario, schedule)

    test.each([
      // So many there are at least: a scenario that has become shorter is to be seen.
      ['one thing happens out of turn', [/./], 50],
      ['a server is stopped and wakes up', [/is stopped/, /wakes up/], 100],
    ])('wherever %s', async (_, patterns, least) => {
      const wrong: Pick<Run, 'trace' | 'wrong'>[] = []
      const count = await explore(run, patterns, (_, { trace, wrong: said }) => {
        if (said.length > 0) wrong.push({ trace, wrong: said })
      })
      expect(wrong.slice(0, 3)).toEqual([])
      expect(count).toBeGreaterThan(least)
    })

    test('wherever a request brings it here while it is removed here', async () => {
      // The server wakes up to a removal and two requests, and reads the record last for the removal.
      const wrong: unknown[] = []
      for (let at = 9; at < 18; at++) {
        for (const choice of [1, 2]) {
          const outcome = await run([
            { at: 0, choice: 4 },
            { at, choice },
          ])
          if (outcome.wrong.length > 0) wrong.push(outcome.trace, outcome.wrong)
        }
      }
      expect(wrong).toEqual([])
    })

    test('wherever several things do', async () => {
      const deviation = fc.record({
        at: fc.nat({ max: 30 }),
        choice: fc.integer({ min: 1, max: 6 }),
      })
      const schedules = fc.uniqueArray(deviation, {
        minLength: 2,
        maxLength: 5,
        selector: ({ at }) => at,
      })
      await fc.assert(
        fc.asyncProperty(schedules, async (schedule) => {
          const { wrong, trace } = await run(schedule)
          expect({ wrong, trace }).toEqual({ wrong: [], trace })
        }),
        { numRuns: 60, ...MODEL_SEED },
      )
    })
  },
)
