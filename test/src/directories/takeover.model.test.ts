import fc from 'fast-check'
import { MODEL_SEED } from '../../support/model-seed.js'
import type { Run } from '../../support/takeover/explore.js'
import { explore, run } from '../../support/takeover/explore.js'

// Each schedule is a small cluster of its own.
jest.setTimeout(120_000)

/**
 * Two servers and one client: it comes to a, to b, is given a topic by way of a, and comes back to
 * a. At each step another call may be answered first, the client may go on before it has an answer,
 * and a server may be killed, or stopped until it wakes up at any later step.
 */
describe('taking a client over', () => {
  test.each([
    // So many there are at least: a scenario that has become shorter is to be seen.
    ['one thing happens out of turn', [/./], 60],
    ['a server is stopped and wakes up', [/is stopped/, /wakes up/], 200],
  ])('goes well wherever %s', async (_, patterns, least) => {
    const wrong: Pick<Run, 'trace' | 'wrong'>[] = []
    const count = await explore(run, patterns, (_, { trace, wrong: said }) => {
      if (said.length > 0) wrong.push({ trace, wrong: said })
    })
    expect(wrong.slice(0, 3)).toEqual([])
    expect(count).toBeGreaterThan(least)
  })

  test('goes well wherever several things do', async () => {
    const deviation = fc.record({ at: fc.nat({ max: 20 }), choice: fc.integer({ min: 1, max: 6 }) })
    const schedules = fc.uniqueArray(deviation, {
      minLength: 2,
      maxLength: 4,
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
})
