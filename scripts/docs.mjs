// Builds the site into .cache/site, with the reference of the API in it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const site = process.env.DOCS_OUT ?? join(root, '.cache/site')
const reference = `${site}-reference`

/** The entry points, by their sources. */
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const entries = Object.values(exports)
  .flatMap((conditions) => conditions.import?.types ?? [])
  .map((path) => path.replace('./dist/esm/', '').replace(/\.d\.ts$/, '.ts'))

const flags = ['--excludeInternal', '--excludePrivate', '--excludeExternals', '--skipErrorChecking']
const options = {
  '--tsconfig': 'tsconfig.build.json',
  '--name': 'unifrost',
  '--readme': 'none',
  '--logLevel': 'Error',
  '--out': reference,
}

async function run(program, args) {
  const child = spawn(process.execPath, [join(root, 'node_modules', program), ...args], {
    cwd: root,
    stdio: 'inherit',
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${program} failed.`)
}

try {
  await Promise.all([
    run('vitepress/bin/vitepress.js', ['build', 'docs', '--outDir', site]),
    run('typedoc/bin/typedoc', [...entries, ...flags, ...Object.entries(options).flat()]),
  ])
  await rm(join(site, 'reference'), { recursive: true, force: true })
  await rename(reference, join(site, 'reference'))
} catch (error) {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}
