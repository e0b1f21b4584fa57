// The hostile tests with all their cases: `npm run test:all` runs fewer.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const jest = fileURLToPath(new URL('../node_modules/jest/bin/jest.js', import.meta.url))
const cases = process.env.UNIFROST_SECURITY_CASES ?? '100000'
const args = [jest, '--config', 'jest.all.config.mjs', '--testTimeout', '3600000']
const tests = ['test/security', 'test/middleware/security', 'test/middleware/patterns']
const child = spawn(process.execPath, [...args, ...tests], {
  stdio: 'inherit',
  env: { ...process.env, UNIFROST_SECURITY_CASES: cases },
})
const [code] = await once(child, 'close')
process.exitCode = code ?? 1
