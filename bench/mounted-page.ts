import { goalsTable } from './goals.js'
import { mountedGoals } from './mounted-goals.js'
import type { Results } from './results.js'
import { Samples } from './samples.js'
import { costs, machine } from './sections.js'
import { table, withSpread } from './tables.js'

/** docs/benchmarks/mounted.md, whole. */
export function mountedPage(results: Results): string {
  const samples = new Samples(results.samples.filter(({ workload }) => workload === 'mounted'))
  return `${sectionsOf(results, samples).join('\n\n')}\n`
}

function sectionsOf(results: Results, samples: Samples): string[] {
  const scenarios = samples.scenarios('mounted')
  const delivering = scenarios.filter((name) => !name.endsWith('connections'))
  return [
    '# As it is mounted',
    'Written by `npm run bench -- --only mounted`. [benchmarks.md](../benchmarks.md) says what is measured, ' +
      'and compares more contenders.',
    machine(results, samples),
    'CPU µs per delivered frame, behind Express 5 and 4, Koa 3 and 2, and in the company of helmet, cors, ' +
      'compression and a session (Koa: helmet, cors, compress), beside `node:http`, in one run. ' +
      'Frames of 200 B to all clients; or of 60 B, 20 in a turn, each on a topic that has one reader.',
    goalsTable(mountedGoals(samples)),
    costs(samples, 'mounted', delivering),
    'Memory of a connection that does nothing, in KB:',
    table(
      ['mounted', 'KB each'],
      scenarios
        .filter((name) => name.endsWith('connections'))
        .flatMap((scenario) =>
          samples.contenders('mounted', scenario).map((contender) => {
            const value = samples.spread('mounted', scenario, contender, 'kilobytes')
            return [`${scenario}: ${contender}`, value === undefined ? '–' : withSpread(value)]
          }),
        ),
    ),
  ]
}
