// Builds dist/esm, dist/cjs and dist/server, if anything they are made from has changed.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildServer } from './build-server.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const stampFile = join(root, '.cache/build.json')
const modes = [
  { name: 'esm', config: 'tsconfig.build.json', type: 'module' },
  { name: 'cjs', config: 'tsconfig.cjs.json', type: 'commonjs' },
]

async function filesIn(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

// Contents and names, not times: a checkout, a copy or a deleted file must not fool it.
async function fingerprint() {
  const hash = createHash('sha256')
  const inputs = [
    ...(await filesIn(join(root, 'src'))),
    ...(await filesIn(join(root, 'middleware'))),
    ...['tsconfig.json', ...modes.map((mode) => mode.config)].map((name) => join(root, name)),
    join(root, 'package.json'),
    join(root, 'package-lock.json'),
    join(root, 'scripts/build-server.mjs'),
    fileURLToPath(import.meta.url),
  ]
  for (const path of inputs) {
    const content = await readFile(path)
    hash.update(`${relative(root, path)}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex')
}

async function isFresh(inputs) {
  if (!existsSync(stampFile)) return false
  const stamp = JSON.parse(await readFile(stampFile, 'utf8'))
  return stamp.inputs === inputs && stamp.outputs.every((path) => existsSync(join(root, path)))
}

async function compile(mode, outDir) {
  const tsc = spawn(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', mode.config, '--outDir', outDir],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
  )
  const [code] = await once(tsc, 'close')
  if (code !== 0) throw new Error(`${mode.config} does not compile.`)
  if (mode.type === 'commonjs') await exposeRequires(outDir)
  // The package as a whole is made of ES modules; this says what the folder below holds.
  await writeFile(join(outDir, 'package.json'), JSON.stringify({ type: mode.type }) + '\n')
}

/**
 * The compiler puts the `require` that an `import()` becomes into a function of its own. Bundlers then
 * don't see that it stands in a `try`, and take a library that is optional for one that is missing.
 */
async function exposeRequires(outDir) {
  const hidden =
    /Promise\.resolve\(\)\.then\(\(\) => (__importStar\(require\((?:'[^']+'|"[^"]+")\)\))\)/g
  for (const path of (await filesIn(outDir)).filter((name) => name.endsWith('.js'))) {
    const text = await readFile(path, 'utf8')
    const bare = text.replaceAll(hidden, '$1')
    if (bare !== text) await writeFile(path, bare)
  }
}

async function build() {
  const inputs = await fingerprint()
  if (await isFresh(inputs)) return
  // Made aside and put in place when it is complete: nobody ever imports half a build, not even
  // where two builds run at once.
  const aside = join(root, `.cache/build-${process.pid}`)
  const dist = join(root, 'dist')
  try {
    await mkdir(aside, { recursive: true })
    await Promise.all([
      ...modes.map((mode) => compile(mode, join(aside, 'new', mode.name))),
      buildServer(root, join(aside, 'new/server')),
    ])
    if (existsSync(dist)) await rename(dist, join(aside, 'old'))
    await rename(join(aside, 'new'), dist)
  } finally {
    await rm(aside, { recursive: true, force: true })
  }
  const outputs = (await filesIn(dist)).map((path) => relative(root, path))
  await writeFile(stampFile, JSON.stringify({ inputs, outputs }) + '\n')
}

try {
  await build()
} catch (error) {
  process.stderr.write(`Build failed: ${error.message}\n`)
  process.exitCode = 1
}
