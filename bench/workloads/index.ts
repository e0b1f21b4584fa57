import type { Options } from '../options.js'
import { fanOut } from './fan-out.js'
import { manyTopics } from './many-topics.js'
import type { Workload } from './stage.js'

export const workloads: readonly Workload[] = [fanOut, manyTopics]

const QUICK = ['fan-out', 'many-topics']
const CHECK = ['fan-out', 'many-topics']

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
