import type { Samples } from './samples.js'
import { costTable } from './tables.js'

const COSTS = ['fan-out', 'many-topics']

/** Prints what was measured, for whoever sits in front of it. */
export function printReport(samples: Samples, leftOut: Record<string, string>): void {
  for (const workload of COSTS) {
    for (const scenario of samples.scenarios(workload)) {
      console.log(`${costTable(samples, workload, scenario)}\n`)
    }
  }
  for (const [who, why] of Object.entries(leftOut)) console.log(`Left out: ${who}: ${why}`)
}
