import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

/**
 * Says at the very end what was left out and how to run it, and then, alone in the last line,
 * `N passed, N failed`. What was left out is the difference between the test files that exist
 * and those that ran, so it cannot go out of date.
 *
 * A file may say what it needs in its first comment: `@needs a NATS server`.
 */
export default class SummaryReporter {
  #root
  #exist
  #ran = new Set()
  #results
  #finished = false

  constructor(globalConfig) {
    this.#root = globalConfig.rootDir
    const test = join(this.#root, 'test')
    this.#exist = readdirSync(test, { recursive: true })
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => join(test, name))
      .sort()
    // At exit, because Jest itself may still have something to say after its last hook.
    process.once('exit', () => {
      process.stdout.write(this.#lines().join('\n') + '\n')
    })
  }

  onTestResult(test, _result, results) {
    this.#ran.add(test.path)
    this.#results = results
  }

  onRunComplete(_contexts, results) {
    this.#results = results
    this.#finished = !results.wasInterrupted
    // Fires only where something keeps the process alive, which is a failure and must not be a hang.
    setTimeout(() => {
      process.stdout.write('\nThe tests have left something open that keeps Jest from ending.\n')
      process.exit(1)
    }, 5_000).unref()
  }

  // Jest takes an error of a reporter for a failure of the run.
  getLastError() {
    if (this.#counts().passed + this.#counts().failed === 0) return new Error('No test ran.')
  }

  #counts() {
    const results = this.#results
    return {
      passed: results?.numPassedTests ?? 0,
      // A file that could not even be loaded has no tests to count.
      failed: (results?.numFailedTests ?? 0) + (results?.numRuntimeErrorTestSuites ?? 0),
      skipped: (results?.numPendingTests ?? 0) + (results?.numTodoTests ?? 0),
    }
  }

  #lines() {
    const { passed, failed, skipped } = this.#counts()
    const lines = ['']
    if (!this.#finished) lines.push('The run was broken off.')
    else if (passed + failed === 0) lines.push('No test ran.')
    lines.push(...this.#leftOut())
    const parts = [`${passed} passed`, `${failed} failed`]
    if (skipped > 0) parts.push(`${skipped} skipped`)
    return [...lines, parts.join(', ')]
  }

  #leftOut() {
    const missing = this.#exist.filter((path) => !this.#ran.has(path))
    if (missing.length === 0) return ['Nothing was left out.']
    const real = missing.filter((path) => path.endsWith('.real.test.ts'))
    const other = missing.length - real.length
    const lines = []
    if (real.length > 0) {
      lines.push(`Left out: ${files(real.length)} that ${verb(real.length)} more than Node:`)
      for (const path of real) {
        const needs = /@needs\s+(.*?)\s*(?:\*\/|\n)/.exec(readFileSync(path, 'utf8'))?.[1]
        lines.push(`  ${relative(this.#root, path)}${needs === undefined ? '' : ` (${needs})`}`)
      }
    }
    if (other > 0) lines.push(`Left out: ${files(other)} not asked for.`)
    lines.push('Run all of them with: npm run test:all')
    return lines
  }
}

const files = (count) => `${count} test ${count === 1 ? 'file' : 'files'}`
const verb = (count) => (count === 1 ? 'needs' : 'need')
