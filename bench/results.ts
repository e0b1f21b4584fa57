import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { CACHE } from './places.js'
import type { Sample } from './samples.js'
import { Samples } from './samples.js'

/** What the bench remembers between runs, so that a long one can be done in parts. */
export interface Results {
  samples: Sample[]
  /** Who could not be had, and why. */
  leftOut: Record<string, string>
  /** Of what was measured beside unifrost. */
  versions: Record<string, string>
  machine: string
}

const FILE = join(CACHE, 'results.json')

export async function readResults(): Promise<Results> {
  const text = await readFile(FILE, 'utf8').catch(() => undefined)
  if (text === undefined) return { samples: [], leftOut: {}, versions: {}, machine: machine() }
  return JSON.parse(text) as Results
}

export async function mergeResults(fresh: Omit<Results, 'machine'>): Promise<Results> {
  const before = await readResults()
  const merged: Results = {
    samples: [...new Samples(before.samples).merge(fresh.samples).all],
    leftOut: fresh.leftOut,
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
