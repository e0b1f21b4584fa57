// Bundles the server into one file, with the licences of what is inside beside it.
import { build } from 'esbuild'
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The file that `npx unifrost` runs needs nothing but Node, and the library of a broker that is used. */
export async function buildServer(root, outDir) {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const outfile = join(outDir, 'unifrost.cjs')
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['src/server/main.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    // Class names are the names of errors.
    keepNames: true,
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    banner: { js: '#!/usr/bin/env node' },
    define: { UNIFROST_VERSION: JSON.stringify(manifest.version) },
    // What is installed beside it: the two dependencies, and the broker's library of the user's. The server
    // measures by itself, so prom-client is inside, with the package that it loads.
    external: Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }).filter(
      (name) => name !== 'prom-client' && name !== '@opentelemetry/api',
    ),
  })
  await chmod(outfile, 0o755)
  await writeFile(
    join(outDir, 'LICENSES.txt'),
    await licencesOf(root, Object.keys(metafile.inputs)),
  )
  await writeFile(join(outDir, 'package.json'), '{"type":"commonjs"}\n')
}

/** The licences of the packages that the bundle's files came from. */
async function licencesOf(root, inputs) {
  const packages = new Set(
    inputs.flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []),
  )
  const texts = await Promise.all(
    [...packages].sort().map((folder) => licenceOf(join(root, folder))),
  )
  return `unifrost.cjs holds parts of these packages.\n\n${texts.join(`\n${'-'.repeat(72)}\n\n`)}`
}

async function licenceOf(folder) {
  const { name, version, license } = JSON.parse(
    await readFile(join(folder, 'package.json'), 'utf8'),
  )
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry))
  if (file === undefined && license === undefined)
    throw new Error(`${name} comes without a licence.`)
  const text = file === undefined ? '' : await readFile(join(folder, file), 'utf8')
  return `${name} ${version} (${license})\n\n${text.trim()}\n`
}
