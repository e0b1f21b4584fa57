import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { until } from './until.js'

export interface BrokerCommand {
  command: string
  args: readonly string[]
  /** The port that it listens on when it is ready. */
  port: number
  /** What it also prints until then, where it listens before it is ready. */
  says?: string
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** How many milliseconds it may take to start. Default: 60,000. */
  startTimeout?: number
  /**
   * Whether it starts children of its own, which have to get every signal too. It then has a
   * process group of its own, so that Ctrl-C in a terminal no longer reaches it. Default: no.
   */
  group?: boolean
  /**
   * Calls `kill` when this process exits, and returns how to call that off. Default:
   * `process.on('exit', kill)`, which the `process` inside a Jest test never emits.
   */
  atExit?(kill: () => void): () => void
}

/**
 * A broker as a process of yours, on this machine. It is killed when this process exits. A process
 * that is ended by a signal does not exit in that sense, unless it calls `process.exit` on it.
 */
export class BrokerProcess {
  #child: ChildProcess | undefined
  #exited: Promise<void> = Promise.resolve()
  #output = ''
  readonly #letGo: () => void

  private constructor(readonly command: BrokerCommand) {
    this.#letGo = (command.atExit ?? atExit)(() => this.#signal('SIGKILL'))
  }

  /** Starts one; settles when it takes connections. */
  static async start(command: BrokerCommand): Promise<BrokerProcess> {
    const broker = new BrokerProcess(command)
    try {
      await broker.start()
    } catch (error) {
      broker.#letGo()
      throw error
    }
    return broker
  }

  /** The last that it has printed. */
  get output(): string {
    return this.#output
  }

  /** Starts it after a kill; settles when it takes connections. */
  async start(): Promise<void> {
    const { command, args, port, says, env, cwd, startTimeout = 60_000, group } = this.command
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: group ?? false,
    })
    this.#child = child
    this.#output = ''
    let over = false
    this.#exited = new Promise((resolve) => {
      const end = () => {
        over = true
        resolve()
      }
      child.once('exit', end)
      child.once('error', (error) => {
        this.#output += error.message
        end()
      })
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => (this.#output = (this.#output + chunk).slice(-4_000)))
    }
    const isReady = async () =>
      (await takesConnections(port)) && (says === undefined || this.#output.includes(says))
    const ready = async () => over || (await isReady())
    try {
      await until(`${command} takes connections`, ready, startTimeout)
    } catch (cause) {
      await this.kill()
      throw new Error(`${command} did not start:\n${this.#output}`, { cause })
    }
    if (over) throw new Error(`${command} ended at once:\n${this.#output}`)
  }

  /** The process's id, while there is one. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Kills it with SIGKILL, as a crash does: nothing is said to anyone. */
  async kill(): Promise<void> {
    this.#signal('SIGKILL')
    await this.#exited
    this.#child = undefined
    // Its children may take a moment longer, and would be taken for those that are started next.
    const { command, port, group } = this.command
    if (group) await until(`${command} is gone`, async () => !(await takesConnections(port)))
  }

  /** Kills it and starts it again. */
  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }

  /** Stops it with SIGSTOP; settles when it stands still, which is some time after the signal. */
  async freeze(): Promise<void> {
    const { pid } = this
    this.#signal('SIGSTOP')
    if (pid === undefined) return
    const { command, group } = this.command
    await until(`${command} stands still`, () => standsStill(pid, group ?? false))
  }

  /** Has it read its configuration anew with SIGHUP, if it is one that does so. */
  reload(): void {
    this.#signal('SIGHUP')
  }

  /** Lets it go on after {@link freeze}. */
  thaw(): void {
    this.#signal('SIGCONT')
  }

  /** Kills it for good. */
  async stop(): Promise<void> {
    this.#letGo()
    await this.kill()
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid, exitCode, signalCode } = this.#child ?? {}
    if (pid === undefined || exitCode !== null || signalCode !== null) return
    process.kill(this.command.group ? -pid : pid, signal)
  }
}

function atExit(kill: () => void): () => void {
  process.on('exit', kill)
  return () => void process.off('exit', kill)
}

/** Whether every thread of a process is stopped, or of all processes of its group. */
async function standsStill(pid: number, group: boolean): Promise<boolean> {
  const processes = group
    ? (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
    : [`${pid}`]
  for (const process of processes) {
    if (group && (await statusOf(`/proc/${process}/stat`))?.group !== `${pid}`) continue
    // A thread or a process that is gone by now stands still as well.
    const threads = await readdir(`/proc/${process}/task`).catch(() => [])
    for (const thread of threads) {
      const status = await statusOf(`/proc/${process}/task/${thread}/stat`)
      if (status !== undefined && !'TXZ'.includes(status.state)) return false
    }
  }
  return true
}

/** State and process group, as in proc_pid_stat(5). */
async function statusOf(path: string): Promise<{ state: string; group: string } | undefined> {
  const stat = await readFile(path, 'utf8').catch(() => undefined)
  // The name stands in parentheses, and may have some itself.
  const [, state, , group] = stat?.slice(stat.lastIndexOf(')')).split(' ') ?? []
  return state === undefined || group === undefined ? undefined : { state, group }
}

/** Whether something listens on a port of this machine. */
export function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const settle = (listens: boolean) => () => {
      socket.destroy()
      resolve(listens)
    }
    socket.once('connect', settle(true))
    socket.once('error', settle(false))
  })
}

/** A port of this machine that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
