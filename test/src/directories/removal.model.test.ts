import fc from 'fast-check'
import { MODEL_SEED } from '../../support/model-seed.js'
import type { Run } from '../../support/takeover/explore.js'
import { explore } from '../../support/takeover/explore.js'
import type { Scenario } from '../../support/takeover/removals.js'
import { runRemoval } from '../../support/takeover/removals.js'

const RUNS = Number(process.env['MODEL_RUNS'] ?? 40)

// Each schedule is a small cluster of its own.
jest.setTimeout(600_000)

const scenarios: Scenario[] = [
  { how: 'remove', servers: 2 },
  { how: 'remove', servers: 3 },
  { how: 'revoke', servers: 2 },
  { how: 'revoke', servers: 3 },
  // What can't come back because it is refused hides what was not ended.
  { how: 'revoke', servers: 2, refusedFor: 0 },
]

type Schedule = Parameters<typeof runRemoval>[1]

/** What once left a stream or a record. Numbered by steps, so each is run in every scenario. */
const FOUND: [Schedule][] = [
  // The client came back to its former server, which wrote its deleted record again; the server that
  // had removed it took it over from there before the former one was told.
  [
    [
      { at: 5, choice: 1 },
      { at: 6, choice: 1 },
      { at: 7, choice: 5 },
      { at: 13, choice: 1 },
    ],
  ],
  // It was taken over there by a third server.
  [
    [
      { at: 3, choice: 1 },
      { at: 7, choice: 5 },
      { at: 15, choice: 2 },
      { at: 20, choice: 1 },
      { at: 27, choice: 2 },
    ],
  ],
  // A server that had woken up read the revocation's notice, and was still at its first client when it
  // was asked: it answered that all was done.
  [
    [
      { at: 6, choice: 3 },
      { at: 11, choice: 6 },
      { at: 19, choice: 4 },
      { at: 22, choice: 3 },
      { at: 29, choice: 1 },
    ],
  ],
]

/**
 * A client moves from server to server while it is removed, or its owner revoked. At each step
 * another call may be answered first, the client may go on before it has an answer, and a server may
 * be killed, or stopped until it wakes up at any later step.
 */
describe.each(scenarios)(
  '$how over $servers servers leaves no stream and no record',
  (scenario) => {
    const run = (schedule: Schedule) => runRemoval(scenario, schedule)

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
        { numRuns: RUNS, examples: FOUND, ...MODEL_SEED },
      )
    })
  },
)
