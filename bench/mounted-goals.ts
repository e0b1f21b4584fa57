import type { Goal } from './goals.js'
import type { Samples } from './samples.js'

const MOUNTED = ['unifrost, express', 'unifrost, express4', 'unifrost, koa', 'unifrost, koa2']

/** What the way that most people mount it is held to, all in one run; nothing if it was not measured. */
export function mountedGoals(samples: Samples): Goal[] {
  return samples.scenarios('mounted').flatMap((scenario) => {
    if (scenario.endsWith('connections')) return idle(samples, scenario)
    if (!scenario.includes('clients')) return []
    const isSingle = scenario.endsWith('single')
    const ratio = (contender: string, other: string) =>
      samples.ratio('mounted', scenario, 'cpuUs', contender, other)
    const atMost = (contender: string, limit: number, other: string, shown: string): Goal => ({
      what: `${scenario}, ${contender.replace('unifrost, ', 'mounted in ')}`,
      bound: 'at most',
      limit,
      unit: ` × ${shown}`,
      measured: ratio(contender, other),
    })
    return [
      ...MOUNTED.flatMap((contender) => [
        atMost(contender, 1.05, 'unifrost', "`node:http`'s"),
        atMost(contender, isSingle ? 1.15 : 1.2, 'floor', '_floor_'),
      ]),
      atMost('unifrost, express-company', 1.1, 'unifrost, express', "Express's alone"),
      atMost('unifrost, koa-company', 1.1, 'unifrost, koa', "Koa's alone"),
      {
        what: `${scenario}, mounted in Express, better than better-sse in Express`,
        bound: 'at least',
        limit: isSingle ? 2 : 8,
        unit: ' ×',
        measured: ratio('better-sse, express', 'unifrost, express'),
      },
    ]
  })
}

function idle(samples: Samples, scenario: string): Goal[] {
  return [
    {
      what: `${scenario}, idle, mounted in Express`,
      bound: 'at most',
      limit: 1.1,
      unit: " × a bare Express handler's",
      measured: samples.ratio(
        'mounted',
        scenario,
        'kilobytes',
        'unifrost, express',
        'Express, bare',
      ),
    },
  ]
}
