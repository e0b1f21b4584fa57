// ESLint, Prettier, the compiler and the spelling of the docs, all at once. Each says what it has to say in one piece, and the
// exit code is 1 where any of them has something to say.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
// What has been found right is not looked at again until it, or what it rests on, has changed. That
// is not for ESLint: what it says of one file depends on types in others, and it does not know of that.
const prettierCache = ['--cache', '--cache-strategy', 'content', '--cache-location']
const compilerCache = ['--incremental', '--tsBuildInfoFile']
const checks = [
  ['ESLint', 'eslint/bin/eslint.js', '.'],
  [
    ...['the formatting', 'prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.'],
    ...[...prettierCache, '.cache/lint/prettier'],
  ],
  ['the types', 'typescript/bin/tsc', '--noEmit', ...compilerCache, '.cache/lint/types'],
  // A word that is right and not known goes into docs/.vitepress/words.txt.
  ['the spelling', 'cspell/bin.mjs', '--dot', '--no-progress', '--no-summary', '**/*.md'],
]

/** Whether it holds. */
async function holds([name, script, ...args]) {
  const began = performance.now()
  const colors = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}
  const child = spawn(process.execPath, [`${root}node_modules/${script}`, ...args], {
    cwd: root,
    env: { ...process.env, ...colors },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => (output += text))
  }
  const [code] = await once(child, 'close')
  const took = ((performance.now() - began) / 1_000).toFixed(1)
  process.stdout.write(`${output}${name}: ${code === 0 ? 'ok' : 'FAILED'}, ${took} s\n`)
  return code === 0
}

const held = await Promise.all(checks.map(holds))
process.exitCode = held.every(Boolean) ? 0 : 1
