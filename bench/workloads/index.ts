import type { Options } from '../options.js'
import { connections } from './connections.js'
import { fanOut } from './fan-out.js'
import { latency } from './latency.js'
import { manyTopics } from './many-topics.js'
import { mounted } from './mounted.js'
import { reconnect } from './reconnect.js'
import type { Workload } from './bench-stage.js'
import { stalled } from './stalled.js'
import { surroundings } from './surroundings.js'

export const workloads: readonly Workload[] = [
  mounted,
  fanOut,
  manyTopics,
  latency,
  connections,
  reconnect,
  stalled,
  surroundings,
]

const QUICK = ['fan-out', 'many-topics', 'latency', 'reconnect', 'connections']
const CHECK = ['mounted', 'fan-out', 'many-topics']

/** @throws TypeError for a name that is none. */
export function workloadsOf({ mode, only }: Pick<Options, 'mode' | 'only'>): Workload[] {
  const usual = mode === 'quick' ? QUICK : mode === 'full' || mode === 'docs' ? undefined : CHECK
  const names = only ?? usual ?? workloads.map(({ name }) => name)
  return names.map((name) => {
    const found = workloads.find((workload) => workload.name === name)
    if (found !== undefined) return found
    const all = workloads.map((workload) => workload.name).join(', ')
    throw new TypeError(`--only takes ${all}; it got ${name}.`)
  })
}
