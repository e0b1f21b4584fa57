import type { Samples } from './samples.js'

/** A ratio, by workload and scenario: to the floor, or of what is mounted to what is not. */
export type Baseline = Record<string, number>

/** A loss of more than this part fails. */
const TOLERANCE = 0.2

/** What is compared, and how it came out. */
export interface Verdict {
  what: string
  before: number
  now: number
  holds: boolean
}

/**
 * How many times the floor's CPU unifrost needs per frame, and mounted how many times that of
 * `node:http`, wherever both were measured.
 */
export function ratiosOf(samples: Samples): Baseline {
  const ratios: Baseline = {}
  for (const workload of ['fan-out', 'many-topics']) {
    for (const scenario of samples.scenarios(workload)) {
      const ratio = samples.ratio(workload, scenario, 'cpuUs', 'unifrost', 'floor')
      if (ratio !== undefined) ratios[`${workload}: ${scenario}`] = Number(ratio.toFixed(3))
    }
  }
  for (const scenario of samples.scenarios('mounted')) {
    for (const mount of ['express', 'koa']) {
      const ratio = samples.ratio('mounted', scenario, 'cpuUs', `unifrost, ${mount}`, 'unifrost')
      if (ratio !== undefined) {
        ratios[`mounted: ${scenario}, ${mount} against node:http`] = Number(ratio.toFixed(3))
      }
    }
  }
  return ratios
}

/** @throws Error when the baseline has nothing of what was measured. */
export function compare(baseline: Baseline, measured: Baseline): Verdict[] {
  const verdicts = Object.entries(measured)
    .filter(([what]) => baseline[what] !== undefined)
    .map(([what, now]) => {
      const before = baseline[what]!
      return { what, before, now, holds: now <= before * (1 + TOLERANCE) }
    })
  if (verdicts.length > 0) return verdicts
  throw new Error(
    'bench/baseline.json has nothing of what was measured. Write it with npm run bench -- --baseline.',
  )
}
