import { execFile } from 'node:child_process'
import { access, mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findCommand } from './apt.js'

const run = promisify(execFile)
const FOLDER = join(process.cwd(), '.cache/brokers')

/** What to build, and how. */
export interface GoBuild {
  /** The program's name, and what sets this version of it apart. */
  name: string
  version: string
  /** Go's arguments to leave the program in a folder. */
  args(folder: string): readonly string[]
  cwd?: string
  /** What the reader can do where there is no Go, for the error. */
  instead: string
}

/** Builds a program with modules of Go's proxy, once for each version, and says where it is. */
export async function buildWithGo({ name, version, args, cwd, instead }: GoBuild): Promise<string> {
  const folder = join(FOLDER, name, version)
  const program = join(folder, name)
  const built = await access(program).then(
    () => true,
    () => false,
  )
  if (built) return program
  const go = await findGo()
  if (go === undefined) {
    throw new Error(
      `These tests need Go 1.26 or later to build ${name}, and it is not on this machine. Install ` +
        `Go (https://go.dev/dl; Debian 12's own is too old), or ${instead}.`,
    )
  }
  // Others may be building it too: each has a folder of its own, and the last one stays.
  const own = `${folder}.${process.pid}`
  await mkdir(own, { recursive: true })
  try {
    const env = { ...process.env, GOBIN: own }
    await run(go, args(own), { cwd, env, timeout: 300_000 })
    await mkdir(folder, { recursive: true })
    await rename(join(own, name), program)
  } catch (cause) {
    const output = String((cause as { stderr?: string }).stderr || cause).slice(-2_000)
    throw new Error(`Building ${name} failed:\n${output}`, { cause })
  } finally {
    await rm(own, { recursive: true, force: true })
  }
  return program
}

export async function findGo(): Promise<string | undefined> {
  return (await findCommand('go')) ?? (await findCommand('/usr/local/go/bin/go'))
}
