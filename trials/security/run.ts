/**
 * `npm run test:security`: the hostile tests with all their cases, of which `npm run test:all` runs
 * fewer. `--write` puts what came of it into docs/reliability.md.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Row } from '../kit/row.js'
import { writeRows } from '../kit/page.js'
import { textOf } from '../kit/rows-text.js'

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '100000' },
    write: { type: 'boolean', default: false },
  },
})
if (!(Number(values.cases) >= 1)) {
  throw new Error(`--cases takes a number from 1; it got ${values.cases}.`)
}

const TESTS = ['test/security/', 'test/middleware/security', 'test/middleware/patterns']
const jest = fileURLToPath(new URL('../../node_modules/jest/bin/jest.js', import.meta.url))
const args = [jest, '--config', 'jest.all.config.mjs', '--testTimeout', '3600000', ...TESTS]
const folder = await mkdtemp(join(tmpdir(), 'unifrost-security-'))
const figures = join(folder, 'figures')
try {
  const child = spawn(process.execPath, args, {
    stdio: 'inherit',
    env: {
      ...process.env,
      UNIFROST_SECURITY_CASES: values.cases,
      UNIFROST_SECURITY_FIGURES: figures,
    },
  })
  const [code] = (await once(child, 'close')) as [number | null]
  process.exitCode = code ?? 1
  const lines = (await readFile(figures, 'utf8')).trim().split('\n')
  const rows = lines.map((line) => ({ ...(JSON.parse(line) as Row), problems: [] }))
  // The order in which the files were run is by chance.
  rows.sort((a, b) => a.promise.localeCompare(b.promise, 'en'))
  process.stdout.write(`${textOf(rows)}\n`)
  const command = 'npm run test:security'
  const all = values.cases === '100000' ? command : `${command} -- --cases ${values.cases}`
  if (values.write && code === 0) await writeRows(rows, all, true)
} finally {
  await rm(folder, { recursive: true, force: true })
}
