import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const ROOT = join(__dirname, '..', '..')

/** The demo as a process of its own, as `npm start` runs it. */
export interface Demo {
  readonly url: string
  readonly port: number
  /** Sends the signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<Ended>
}

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

interface Run {
  child: ChildProcess
  ended: Promise<Ended>
  /** Settles with the first line on stdout, or with nothing when there is none until the end. */
  firstLine: Promise<string | undefined>
}

function run(env: Record<string, string>): Run {
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, ['--import', 'tsx', 'examples/demo/server.ts'], {
    cwd: ROOT,
    // Only what is named, so that a PORT or a NATS_URL of the machine changes nothing.
    env: { PATH, HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const firstLine = new Promise<string | undefined>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      if (stdout.includes('\n')) resolve(stdout.slice(0, stdout.indexOf('\n')))
    })
    child.once('close', () => resolve(undefined))
  })
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, stdout, stderr }))
  return { child, ended, firstLine }
}

/** Starts the demo on a free port, unless `env` names one. */
export async function startDemo(env: Record<string, string> = {}): Promise<Demo> {
  const { child, ended, firstLine } = run({ PORT: '0', ...env })
  const port = /http:\/\/localhost:(\d+)/.exec((await firstLine) ?? '')?.[1]
  if (port === undefined) {
    child.kill('SIGKILL')
    throw new Error(`The demo did not start. ${(await ended).stderr}`)
  }
  return {
    url: `http://127.0.0.1:${port}`,
    port: Number(port),
    stop(signal = 'SIGTERM') {
      child.kill(signal)
      return ended
    },
  }
}

/** Runs the demo where it is expected to end by itself. */
export async function runDemo(env: Record<string, string>): Promise<Ended> {
  const { child, ended, firstLine } = run(env)
  // It is not meant to come up; if it does, the test shall fail and not wait.
  if ((await firstLine) !== undefined) child.kill('SIGKILL')
  return ended
}
