/** `npm run test:mutants`: breaks a copy of the core on purpose, and shows that tests see it. */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { writeRows } from '../kit/page.js'
import { say } from '../kit/parts.js'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const jest = ['node_modules/jest/bin/jest.js', '--maxWorkers', '2']
const faults = ['--import', 'tsx', 'trials/faults/run.ts', '--brokers', 'memory', '--short']

/**
 * What is to see them, the quick ones first. A mutant is caught by the first that fails; with
 * `--matrix` all of them are run for each mutant.
 */
const suites: Record<string, readonly string[]> = {
  topics: [...jest, 'test/src/replay', 'test/src/topics', 'test/src/slow-clients'],
  kept: [...jest, 'test/src/kept', 'test/src/end.test', 'test/src/conflate', 'test/src/filter'],
  model: [...jest, 'test/src/promise.model'],
  runs: [...jest, 'test/src/runs/runs.model'],
  cluster: [...jest, 'test/src/directories/'],
  log: [...jest, 'test/src/log'],
  memory: [...jest, 'test/src/memory.test'],
  middleware: [...jest, 'test/middleware/'],
  faults: [
    ...faults,
    '--only',
    'random,blocked',
    '--seconds',
    '8',
    '--clients',
    '40',
    '--seed',
    '1',
  ],
}

/** A suite that hangs on a mutant has seen it. */
const SUITE_TIMEOUT = 180_000

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    matrix: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})

/** The tree as it is, changes that are not committed included. */
async function copyTree(to: string): Promise<void> {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const { stdout } = await run('git', args, { cwd: root, maxBuffer: 2 ** 26 })
  for (const name of new Set(stdout.split('\0').filter((name) => name !== ''))) {
    await mkdir(dirname(join(to, name)), { recursive: true })
    await cp(join(root, name), join(to, name)).catch((error: NodeJS.ErrnoException) => {
      // Deleted, and not yet committed so.
      if (error.code !== 'ENOENT') throw error
    })
  }
  await symlink(join(root, 'node_modules'), join(to, 'node_modules'))
}

/** @returns whether the suite passes. */
async function passes(copy: string, suite: string): Promise<boolean> {
  try {
    await run(process.execPath, [...suites[suite]!], {
      cwd: copy,
      timeout: SUITE_TIMEOUT,
      killSignal: 'SIGKILL',
      maxBuffer: 2 ** 26,
      env: { ...process.env, MODEL_RUNS: '300' },
    })
    return true
  } catch (error) {
    // It ended with another code than 0, which is an answer; not to have run at all is none.
    if (typeof (error as { code?: unknown }).code === 'string') throw error
    return false
  }
}

/** @param all Whether to go on after a suite that has failed. */
async function results(copy: string, all: boolean): Promise<Map<string, boolean>> {
  const seen = new Map<string, boolean>()
  for (const suite of Object.keys(suites)) {
    const passed = await passes(copy, suite)
    seen.set(suite, passed)
    if (!passed && !all) break
  }
  return seen
}

const patches = (await readdir(join(root, 'trials/mutants')))
  .filter((name) => name.endsWith('.patch'))
  .filter((name) => values.only === undefined || name === `${values.only}.patch`)
if (patches.length === 0) throw new Error(`There is no trials/mutants/${values.only}.patch.`)

/** In the copy; one line of context is enough, so that changes nearby do not outdate a patch. */
const apply = (name: string, ...args: string[]) =>
  run('git', ['apply', '-C1', ...args, join(root, 'trials/mutants', name)], { cwd: copy })

const copy = await mkdtemp(join(tmpdir(), 'unifrost-mutants-'))
let wrong = 0
const caught: string[] = []
try {
  await copyTree(copy)
  // Before minutes are spent on the others.
  for (const name of patches) {
    await apply(name, '--check').catch((error: { stderr: string }) => {
      throw new Error(
        `trials/mutants/${name} no longer applies: what it breaks has been changed. Have it break ` +
          `the code as it is now.\n${error.stderr.trim()}`,
      )
    })
  }
  // What fails without a mutant shows nothing about one.
  const healthy = await results(copy, true)
  for (const [suite, passed] of healthy) {
    if (!passed) say(`FAILED  ${suite} does not pass on the code as it is`)
    wrong += passed ? 0 : 1
  }
  if (wrong === 0) {
    for (const name of patches) {
      await apply(name)
      const seen = await results(copy, values.matrix)
      const by = [...seen].filter(([, passed]) => !passed).map(([suite]) => suite)
      say(`${by.length > 0 ? 'caught  ' : 'SURVIVED'} ${name}: ${by.join(', ') || 'by nobody'}`)
      if (by.length === 0) wrong++
      caught.push(`${name.replace('.patch', '')} by ${by.join(' and ')}`)
      await apply(name, '--reverse')
    }
  }
} finally {
  await rm(copy, { recursive: true, force: true })
}
if (values.write && wrong === 0 && values.only === undefined) {
  const row = {
    promise: 'The tests see it when the core is broken',
    how: `${patches.length} patches to a copy of the sources, each against ${Object.keys(suites).join(', ')}`,
    figure: `${caught.length} of ${patches.length} caught: ${caught.join('; ')}`,
    problems: [],
  }
  await writeRows([row], 'npm run test:mutants', true)
}
say(wrong === 0 ? `${patches.length} of ${patches.length} caught` : `${wrong} wrong`)
process.exitCode = wrong === 0 ? 0 : 1
