import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { until } from './until.js'

const root = join(__dirname, '../..')

/** A script of this repo that runs as a process of its own. */
export interface Script {
  readonly pid: number
  /** The address that it says it listens on. */
  readonly url: string
  /** All that it has printed. */
  readonly output: string
  /** Ends it with SIGTERM and gives its exit code. */
  stop(): Promise<number | null>
}

/** Starts a TypeScript file by its path in the repo, on a free port, and waits until it listens. */
export async function startScript(path: string, env: Record<string, string> = {}): Promise<Script> {
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, path)], {
    cwd: root,
    env: { ...process.env, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  const exited = once(child, 'exit')
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await exited
    return child.exitCode
  }
  try {
    await until(
      `${path} to listen`,
      () => {
        if (child.exitCode !== null) throw new Error(`${path} ended:\n${output}`)
        return /http:\/\/localhost:\d+/.test(output)
      },
      30_000,
    )
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  return {
    pid: child.pid!,
    url: /http:\/\/localhost:\d+/.exec(output)![0],
    get output() {
      return output
    },
    stop,
  }
}
