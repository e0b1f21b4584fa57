import { goalsOf, goalsTable } from './goals.js'
import { mountedGoals } from './mounted-goals.js'
import type { LeftOut } from './results.js'
import type { Samples } from './samples.js'
import { costTable } from './tables.js'

const COSTS = ['mounted', 'fan-out', 'many-topics', 'surroundings']

/** Prints what was measured, for whoever sits in front of it. */
export function printReport(samples: Samples, leftOut: readonly LeftOut[]): void {
  for (const workload of COSTS) {
    for (const scenario of samples.scenarios(workload)) {
      console.log(`${costTable(samples, workload, scenario)}\n`)
    }
  }
  const goals = [...mountedGoals(samples), ...goalsOf(samples)].filter(
    ({ measured }) => measured !== undefined,
  )
  if (goals.length > 0) console.log(`${goalsTable(goals)}\n`)
  for (const { what, why } of leftOut) console.log(`Left out: ${what}: ${why}`)
}
