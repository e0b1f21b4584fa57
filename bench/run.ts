/** The benchmark: `npm run bench -- --help` says what it takes. */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Baseline } from './check.js'
import { compare, ratiosOf } from './check.js'
import { writeDocs } from './docs.js'
import type { Contender } from './contenders.js'
import { fileLimit } from './limits.js'
import { buildLoadClient, LoadClient } from './load-client.js'
import type { Options } from './options.js'
import { isKept, optionsFrom, USAGE } from './options.js'
import { BASELINE } from './places.js'
import { printReport } from './report.js'
import type { LeftOut } from './results.js'
import { mergeResults, readResults } from './results.js'
import type { Sample } from './samples.js'
import { Samples } from './samples.js'
import { digits } from './tables.js'
import { versionsOf } from './versions.js'
import type { BenchStage, Workload } from './workloads/bench-stage.js'
import { workloadsOf } from './workloads/index.js'

/** Kept, but not shown while it runs. */
const QUIET = ['rss', 'peak', 'bytes', 'serverCpu']

/** Runs the workloads, and @returns what they measured and whom they had to leave out. */
async function measure(options: Options, chosen: readonly Workload[]) {
  const samples: Sample[] = []
  const leftOut: LeftOut[] = []
  let current = ''
  const leaveOut = (what: string, why: string) => {
    leftOut.push({ workload: current, what, why })
    console.log(`Left out: ${what}: ${why}`)
  }
  const load = new LoadClient(await buildLoadClient())
  const most = (await fileLimit()) - 200
  const small = (sizes: readonly number[]) => {
    const possible = sizes.filter((size) => size <= most)
    if (possible.length < sizes.length) {
      leaveOut(`more than ${most} clients`, 'the limit of open files (ulimit -Hn) is too low')
    }
    return possible
  }
  const { scale } = options
  let began = performance.now()
  const asked = new Map<string, Promise<boolean>>()
  const prepared = ({ name, prepare }: Contender) => {
    const before = asked.get(name)
    if (before !== undefined) return before
    const now = (prepare?.() ?? Promise.resolve()).then(
      () => true,
      (error: Error) => {
        leaveOut(name, error.message)
        return false
      },
    )
    asked.set(name, now)
    return now
  }
  const stage: BenchStage = {
    load,
    scale: {
      ...scale,
      fanOut: small(scale.fanOut),
      idle: small(scale.idle),
      manyTopics: Math.min(scale.manyTopics, most),
    },
    async available(contenders) {
      const wanted = contenders.filter(({ name }) => options.contenders?.includes(name) ?? true)
      const start = performance.now()
      const ready = await Promise.all(wanted.map((one) => prepared(one)))
      // What is built for the first time has its own time.
      began += performance.now() - start
      return wanted.filter((_one, index) => ready[index])
    },
    leaveOut(what, why) {
      leaveOut(what, why)
      process.exitCode = 1
    },
    hasTime(what) {
      if (performance.now() - began < scale.minutes * 60_000) return true
      leaveOut(what, `after ${scale.minutes} minutes nothing new is begun`)
      return false
    },
    keep(sample) {
      samples.push(sample)
      const shown = Object.entries(sample.metrics).filter(([name]) => !QUIET.includes(name))
      const metrics = shown.map(([name, value]) => `${name} ${digits(value)}`)
      console.log(`${sample.scenario}, ${sample.contender}: ${metrics.join(', ')}`)
    },
  }
  try {
    for (const workload of chosen) {
      const start = performance.now()
      current = workload.name
      await workload.run(stage)
      console.log(`${workload.name} took ${digits((performance.now() - start) / 1_000)} s.\n`)
    }
  } finally {
    load.stop()
  }
  return { samples, leftOut }
}

async function check(samples: Samples): Promise<void> {
  const baseline = JSON.parse(await readFile(BASELINE, 'utf8')) as Baseline
  const verdicts = compare(baseline, ratiosOf(samples))
  for (const { what, before, now, holds } of verdicts) {
    const result = holds ? 'holds' : 'LOST MORE THAN 20 %'
    console.log(`${what}: ${now.toFixed(2)} ×, baseline ${before.toFixed(2)}: ${result}`)
  }
  if (verdicts.some(({ holds }) => !holds)) process.exitCode = 1
}

async function main(args: readonly string[]): Promise<void> {
  if (args.includes('--help')) return console.log(USAGE)
  const options = optionsFrom(args)
  const chosen = workloadsOf(options)
  if (options.mode === 'docs') return writeDocs(await readResults())
  await promisify(execFile)(process.execPath, [join(import.meta.dirname, '../scripts/build.mjs')])
  const { samples, leftOut } = await measure(options, chosen)
  const measured = new Samples(samples)
  printReport(measured, leftOut)
  if (options.mode === 'check') await check(measured)
  if (options.mode === 'baseline') {
    await writeFile(BASELINE, `${JSON.stringify(ratiosOf(measured), undefined, 2)}\n`)
  }
  if (isKept(options)) {
    const names = chosen.map(({ name }) => name)
    const fresh = { samples, leftOut, versions: await versionsOf() }
    await writeDocs(await mergeResults(fresh, names))
  }
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  const text = error instanceof TypeError ? `${error.message}\n\n${USAGE}` : error
  console.error(text)
  process.exitCode = 1
}
