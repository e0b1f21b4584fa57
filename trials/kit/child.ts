import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { whenEnding } from '../../test/support/ending.js'
import { until } from '../../test/support/until.js'
import type { Command, Reply } from '../faults/faulty-server-messages.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
export const node = [process.execPath, '--import', 'tsx']

/** How the child is started, where that is not plainly Node. */
export interface Launch {
  /** Goes before Node's own command. */
  prefix?: string[]
  /** Default: server.ts of this folder. */
  script?: URL
  env?: Record<string, string>
}

/** A server under test, as its parent sees it: what it is asked, and what it answers. */
export class ServerProcess<
  Ask extends object = Omit<Command, 'id'>,
  Answer extends object = Reply,
> {
  port = 0
  stderr = ''
  private asked = 0
  private readonly waiting = new Map<number, (reply: Answer | undefined) => void>()
  private readonly exited: Promise<unknown>

  private constructor(private readonly child: ChildProcess) {
    this.exited = once(child, 'close')
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-8_000)
    })
    child.on('message', (message: Answer & { id: number; port?: number }) => {
      if (message.port !== undefined) this.port = message.port
      this.waiting.get(message.id)?.(message)
      this.waiting.delete(message.id)
    })
    child.on('close', () => {
      for (const answer of this.waiting.values()) answer(undefined)
      this.waiting.clear()
    })
  }

  static async start<Ask extends object = Omit<Command, 'id'>, Answer extends object = Reply>(
    config: object,
    launch: Launch = {},
  ): Promise<ServerProcess<Ask, Answer>> {
    const [command, ...args] = [
      ...(launch.prefix ?? []),
      ...node,
      fileURLToPath(launch.script ?? new URL('../faults/faulty-server.ts', import.meta.url)),
      JSON.stringify(config),
    ]
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...launch.env },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    const server = new ServerProcess<Ask, Answer>(child)
    child.once(
      'close',
      whenEnding(() => child.kill('SIGKILL')),
    )
    child.once('error', (error) => (server.stderr += error.message))
    try {
      await until('the server to listen', () => server.port > 0 || server.over, 60_000)
      if (server.over) throw new Error('It ended at once.')
    } catch (cause) {
      child.kill('SIGKILL')
      throw new Error(`The server did not start: ${server.stderr}`, { cause })
    }
    return server
  }

  get over(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  get exitCode(): number | null {
    return this.child.exitCode
  }

  /** Settles with nothing when the server dies before it has answered. */
  ask(command: Ask): Promise<Answer | undefined> {
    if (this.over || !this.child.connected) return Promise.resolve(undefined)
    const id = ++this.asked
    return new Promise((resolve) => {
      this.waiting.set(id, resolve)
      this.child.send({ id, ...command }, (error) => {
        if (error !== null) resolve(undefined)
      })
    })
  }

  async mustAsk(command: Ask): Promise<Answer> {
    const reply = await this.ask(command)
    if (reply === undefined) throw new Error(`The server has died: ${this.stderr}`)
    return reply
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  /** Waits for its end. */
  async end(within = 30_000): Promise<number | null> {
    await until('the server to end', () => this.over, within)
    await this.exited
    return this.exitCode
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.exited
  }
}
