import { execFile } from 'node:child_process'
import { access, constants, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { until } from '../../src/testing/index.js'

const run = promisify(execFile)

/** While this file is there and says no, Debian starts no service that it installs. */
const POLICY = '/usr/sbin/policy-rc.d'

/** Where a command is, whether or not the folders of root's commands are in PATH. */
export async function findCommand(name: string): Promise<string | undefined> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  for (const folder of folders) {
    const path = join(folder, name)
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  return undefined
}

/**
 * The path of a command, after installing the Debian package that has it if need be.
 *
 * @param instead What else the reader can do, for the error.
 */
export async function requireCommand(name: string, pkg: string, instead: string): Promise<string> {
  const found = await findCommand(name)
  if (found) return found
  if (process.getuid?.() !== 0 || !(await findCommand('apt-get'))) {
    throw new Error(
      `These tests need ${name}, which is not on this machine, and can install it as root on ` +
        `Debian only. Install it (Debian's package: ${pkg}), or ${instead}.`,
    )
  }
  await install(pkg)
  const installed = await findCommand(name)
  if (installed) return installed
  throw new Error(`The Debian package ${pkg} was installed, but brought no ${name}.`)
}

async function install(pkg: string): Promise<void> {
  const ours = await writeFile(POLICY, '#!/bin/sh\nexit 101\n', { flag: 'wx', mode: 0o755 }).then(
    () => true,
    () => false,
  )
  try {
    await apt(['update', '-qq'])
    await apt(['install', '-y', '-qq', '--no-install-recommends', pkg])
  } finally {
    if (ours) await rm(POLICY, { force: true })
  }
}

async function apt(args: readonly string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const attempt = async () => {
    try {
      await run('apt-get', ['-o', 'DPkg::Lock::Timeout=120', ...args], { env })
      return true
    } catch (cause) {
      const output = String((cause as { stderr?: string }).stderr ?? cause)
      // The option above covers the lock of dpkg, not the one on the lists.
      if (/could not get lock/i.test(output)) return false
      throw new Error(`apt-get ${args.join(' ')} failed:\n${output.slice(-2_000)}`, { cause })
    }
  }
  await until('apt-get gets its lock', attempt, 180_000)
}
