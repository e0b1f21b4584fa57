import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { whenEnding } from './ending.js'

const root = join(__dirname, '../..')

/**
 * Runs a suite that prints its rows, in a process of its own with servers as its children: Jest's
 * has enough to do. It rejects with the table, which says what was tried and with which seed it
 * comes again, unless all rows have held.
 */
export async function allRowsHold(path: string, ...args: string[]): Promise<void> {
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, path), ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const letGo = whenEnding(() => child.kill('SIGTERM'))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [code] = (await once(child, 'close')) as [number | null]
  letGo()
  if (code !== 0) throw new Error(output)
  expect(output).toMatch(/\d+ held, 0 failed, \d+ left out/)
  // What this machine can't do is nobody's fault, and still not to be overlooked.
  const leftOut = /^LEFT OUT .*\n.*\n.*$/gm
  for (const [row] of output.matchAll(leftOut)) process.stderr.write(`${row}\n`)
}
