/** @needs Redis and NATS servers that may be killed, HAProxy, nginx, root for network namespaces */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

jest.setTimeout(600_000)

// The run is a process of its own, with servers as its children: Jest's has enough to do.
test('three servers look like one, whatever befalls them', async () => {
  const script = join(__dirname, 'run.ts')
  const args = ['--import', 'tsx', script, '--short', '--clients', '60']
  const child = spawn(process.execPath, args, {
    cwd: join(__dirname, '../..'),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const dieWithUs = () => child.kill('SIGTERM')
  process.on('exit', dieWithUs)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [code] = (await once(child, 'close')) as [number | null]
  process.off('exit', dieWithUs)
  if (code !== 0) throw new Error(output)
  expect(output).toMatch(/\d+ held, 0 failed, \d+ left out/)
})
