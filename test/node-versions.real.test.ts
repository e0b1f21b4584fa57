/** @needs Node 22 and 24 from npm */
import { execFile } from 'node:child_process'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { fromNpm } from './support/from-npm.js'

const run = promisify(execFile)
const root = join(__dirname, '..')

jest.setTimeout(600_000)

test.each([22, 24])('everything that needs only Node passes on Node %i', async (version) => {
  const node = join(await fromNpm(`node-${version}-alone`, [`node@${version}`]), 'node/bin/node')
  const { stdout: said } = await run(node, ['--version'])
  expect(said).toMatch(`v${version}.`)
  // One worker, and time enough: other tests run beside this one.
  const jest = ['node_modules/jest/bin/jest.js', '--maxWorkers', '1', '--testTimeout', '60000']
  const PATH = [dirname(node), process.env.PATH].join(delimiter)
  const { stdout } = await run(node, jest, { cwd: root, env: { ...process.env, PATH } }).catch(
    (error: { stdout?: string; stderr?: string }) => {
      throw new Error(`${error.stderr}\n${error.stdout}`)
    },
  )
  expect(stdout).toMatch(/^[1-9]\d* passed, 0 failed\n$/m)
})
