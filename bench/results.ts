import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { CACHE } from './places.js'
import type { Sample } from './samples.js'
import { Samples } from './samples.js'

/** Who or what could not be measured, in which workload, and why. */
export interface LeftOut {
  workload: string
  what: string
  why: string
}

/** What the bench remembers between runs, so that a long one can be done in parts. */
export interface Results {
  samples: Sample[]
  leftOut: LeftOut[]
  /** Of what was measured beside unifrost. */
  versions: Record<string, string>
  machine: string
}

const FILE = join(CACHE, 'results.json')

export async function readResults(): Promise<Results> {
  const text = await readFile(FILE, 'utf8').catch(() => undefined)
  if (text === undefined) return { samples: [], leftOut: [], versions: {}, machine: machine() }
  return JSON.parse(text) as Results
}

/** Puts what was measured now in the place of what it repeats. */
export async function mergeResults(
  fresh: Omit<Results, 'machine'>,
  workloads: readonly string[],
): Promise<Results> {
  const before = await readResults()
  const merged: Results = {
    samples: [...new Samples(before.samples).merge(fresh.samples).all],
    leftOut: [
      ...before.leftOut.filter(({ workload }) => !workloads.includes(workload)),
      ...fresh.leftOut,
    ],
    versions: { ...before.versions, ...fresh.versions },
    machine: machine(),
  }
  await mkdir(CACHE, { recursive: true })
  await writeFile(FILE, JSON.stringify(merged))
  return merged
}

/** What it runs on, as far as it matters for the figures. */
function machine(): string {
  const memory = Math.round(totalmem() / 2 ** 30)
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  return `${cpus().length} cores (${model}), ${memory} GiB, Linux ${release().split('-')[0]}, Node ${process.versions.node}`
}
