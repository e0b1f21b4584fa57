import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const CACHE = resolve('.cache/npm')

/**
 * Packages that are not among those of the repo, installed once and kept.
 *
 * @param name Sets them apart from others.
 * @returns the folder `node_modules` that has them.
 */
export async function fromNpm(name: string, packages: readonly string[]): Promise<string> {
  const folder = join(CACHE, name)
  const there = await access(folder).then(
    () => true,
    () => false,
  )
  if (there) return join(folder, 'node_modules')
  await mkdir(CACHE, { recursive: true })
  const part = await mkdtemp(join(CACHE, 'part-'))
  try {
    await writeFile(join(part, 'package.json'), '{ "private": true }')
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
    await run('npm', ['install', '--prefix', part, ...quiet, ...packages])
    // Others may have been quicker.
    await rename(part, folder).catch(() => access(folder))
  } finally {
    await rm(part, { recursive: true, force: true })
  }
  return join(folder, 'node_modules')
}
