import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './support/until.js'

const root = join(__dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'unifrost-ending-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Jest with one worker, which runs test/support/ending.fixture.ts. */
function startJest(env: Record<string, string> = {}) {
  const jestCommand = join(root, 'node_modules/jest/bin/jest.js')
  const args = [jestCommand, '--config', 'test/support/ending.jest.config.mjs']
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const jest = { child, output: '', closed: once(child, 'close') }
  child.stderr.setEncoding('utf8').on('data', (text: string) => (jest.output += text))
  return jest
}

const isAlive = (pid: number) => existsSync(`/proc/${pid}`)

test('a worker ends by itself when its work is done', async () => {
  const jest = startJest()
  const [code] = (await jest.closed) as [number | null]
  expect(jest.output).toContain('1 passed')
  expect(jest.output).not.toContain('failed to exit gracefully')
  expect(code).toBe(0)
}, 30_000)

test('a Jest that is killed leaves no broker behind', async () => {
  const file = join(folder, 'pid')
  const jest = startJest({ ENDING_PID_FILE: file })
  await until('the broker', () => existsSync(file), 20_000)
  const broker = Number(readFileSync(file, 'utf8'))
  expect(isAlive(broker)).toBe(true)
  jest.child.kill('SIGKILL')
  await jest.closed
  await until('the broker to be gone', () => !isAlive(broker), 5_000)
}, 30_000)
