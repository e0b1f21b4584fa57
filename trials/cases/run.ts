/**
 * `npm run test:cases -- FOLDER …`: runs scripts that show a fault from outside, each from the built
 * package, as a user would. A script exits with 0 where the right thing happens.
 */
import { execFile, execFileSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { say } from '../kit/parts.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** A script that takes longer has shown that something hangs. */
const TIMEOUT = 120_000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string', default: '' } },
})
if (positionals.length === 0) {
  say('npm run test:cases takes folders of scripts: npm run test:cases -- path/to/cases')
  process.exit(2)
}

/** Scripts begin with a number; what they share does not. */
function scriptsIn(folder: string): string[] {
  return readdirSync(folder)
    .toSorted()
    .map((name) => join(folder, name))
    .flatMap((path) => {
      if (statSync(path).isDirectory()) return scriptsIn(path)
      return /\/\d+-[^/]*\.mjs$/.test(path) ? [path] : []
    })
    .filter((path) => path.includes(values.only))
}

interface Result {
  code: number | string
  said: string
}

function run(script: string): Promise<Result> {
  return new Promise((done) => {
    const options = { cwd: root, timeout: TIMEOUT, maxBuffer: 2 ** 24 }
    execFile(process.execPath, [script], options, (error, stdout, stderr) => {
      const said = (stdout.trim() || stderr.trim()).split('\n').at(-1) ?? ''
      done({ code: error === null ? 0 : (error.code ?? 'killed'), said })
    })
  })
}

execFileSync(process.execPath, [join(root, 'scripts/build.mjs')], { stdio: 'inherit' })
let wrong = 0
for (const folder of positionals.map((path) => resolve(path))) {
  for (const script of scriptsIn(folder)) {
    const { code, said } = await run(script)
    if (code !== 0) wrong++
    const name = relative(folder, script)
    say(
      `${code === 0 ? 'right' : 'WRONG'}  ${name}${code === 0 ? '' : ` (${code}): ${said.slice(0, 300)}`}`,
    )
  }
}
say(wrong === 0 ? 'all right' : `${wrong} wrong`)
process.exitCode = wrong === 0 ? 0 : 1
