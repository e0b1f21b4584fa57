// Every test, those with a broker, a browser and the packed package included. Each broker's helper
// in test/brokers/ finds or installs its server; the browser is seen to here.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const onPath = (name) =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find(isExecutable)

function findChromium() {
  const named = process.env.UNIFROST_TEST_CHROMIUM
  if (named !== undefined) {
    if (isExecutable(named)) return named
    throw new Error(`UNIFROST_TEST_CHROMIUM=${named} cannot be run.`)
  }
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
  return names.map(onPath).find((path) => path !== undefined)
}

function installChromium() {
  const how = 'Install Chromium, or name one with UNIFROST_TEST_CHROMIUM=/path/to/it.'
  if (onPath('apt-get') === undefined || process.getuid?.() !== 0) throw new Error(how)
  process.stdout.write('Installing Chromium with apt-get…\n')
  const apt = (...args) =>
    execFileSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=120', ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  apt('update')
  apt('install', '-y', '--no-install-recommends', 'chromium')
  const found = findChromium()
  if (found === undefined) throw new Error(how)
  return found
}

/** Returns the exit code. */
async function run(script, args, env = process.env) {
  const child = spawn(process.execPath, [join(root, script), ...args], {
    cwd: root,
    env,
    stdio: 'inherit',
  })
  // A terminal tells everyone; whoever ends this process alone means its child as well.
  const pass = (signal) => child.kill(signal)
  process.on('SIGTERM', pass)
  const [code, signal] = await once(child, 'close')
  process.off('SIGTERM', pass)
  return signal === null ? code : 1
}

try {
  const chromium = findChromium() ?? installChromium()
  const built = await run('scripts/build.mjs', [])
  if (built !== 0) process.exit(built)
  const tested = await run(
    'node_modules/jest/bin/jest.js',
    ['--config', 'jest.all.config.mjs', ...process.argv.slice(2)],
    { ...process.env, UNIFROST_TEST_CHROMIUM: chromium },
  )
  process.exitCode = tested
} catch (error) {
  process.stderr.write(`test:all: ${error.message}\n`)
  process.exit(1)
}
