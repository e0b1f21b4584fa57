import { execFile } from 'node:child_process'
import { access, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CACHE } from '../places.js'

const run = promisify(execFile)

/** The program of a released Go module, built in the cache of the bench if it is not there yet. */
export async function goProgram(path: string, version: string): Promise<string> {
  const folder = join(CACHE, `${path.replace(/\W+/g, '-')}@${version}`)
  const binary = join(
    folder,
    path.split('/').findLast((part) => !/^v\d+$/.test(part))!,
  )
  const built = await access(binary).then(
    () => true,
    () => false,
  )
  if (built) return binary
  await mkdir(folder, { recursive: true })
  const env = { ...process.env, GOBIN: folder, GOFLAGS: '-mod=mod' }
  console.log(`Building ${path}@${version}, once; that takes minutes.`)
  await go(['install', `${path}@${version}`], env)
  return binary
}

/** Whether the Go proxy hands out a module. @throws Error with what go says, if not. */
export async function askForModule(path: string): Promise<string> {
  return (await go(['list', '-m', `${path}@latest`], process.env)).trim()
}

async function go(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  try {
    return (await run('go', args, { env, cwd: CACHE, maxBuffer: 2 ** 24, timeout: 900_000 })).stdout
  } catch (cause) {
    const { code, stderr } = cause as { code?: unknown; stderr?: string }
    if (code === 'ENOENT') throw new Error('Go is not installed.', { cause })
    const last = stderr?.trim().split('\n').at(-1)?.trim() ?? String(cause)
    throw new Error(`go ${args[0]} failed: ${last}`, { cause })
  }
}
