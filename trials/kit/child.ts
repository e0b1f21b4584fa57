import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { whenEnding } from '../../test/support/ending.js'
import { until } from '../../test/support/until.js'
import type { FromChild, Reply } from './child-program.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
export const node = [process.execPath, '--import', 'tsx']

/** How the child is started, where that is not plainly Node. */
export interface Launch {
  /** Goes before Node's own command. */
  prefix?: readonly string[]
  env?: Record<string, string>
}

/**
 * A program of the trials as its parent sees it: what it is asked, and what it answers. The program's
 * own side is child-program.ts.
 */
export class Child<Ask extends object, Answer extends object> {
  /** Where it listens, if it is a server. */
  port = 0
  stderr = ''
  private isReady = false
  private asked = 0
  private readonly waiting = new Map<number, (reply: Reply<Answer>) => void>()
  private readonly exited: Promise<unknown>

  private constructor(private readonly child: ChildProcess) {
    this.exited = once(child, 'close')
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-8_000)
    })
    child.on('message', (message: FromChild<Answer>) => {
      if (message.ready !== undefined) {
        this.port = message.ready.port
        this.isReady = true
      } else {
        this.waiting.get(message.id)?.(message)
        this.waiting.delete(message.id)
      }
    })
    child.on('close', () => {
      for (const [id, answer] of this.waiting) answer({ id, error: `It has died: ${this.stderr}` })
      this.waiting.clear()
    })
  }

  /** Settles when the program is ready. @param config What it is told at its start. */
  static async start<Ask extends object, Answer extends object>(
    script: URL,
    config: object,
    { prefix = [], env }: Launch = {},
  ): Promise<Child<Ask, Answer>> {
    const path = fileURLToPath(script)
    const [command, ...args] = [...prefix, ...node, path, JSON.stringify(config)]
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    const started = new Child<Ask, Answer>(child)
    child.once(
      'close',
      whenEnding(() => child.kill('SIGKILL')),
    )
    child.once('error', (error) => (started.stderr += error.message))
    try {
      await until(`${path} to be ready`, () => started.isReady || started.over, 60_000)
      if (started.over) throw new Error('It ended at once.')
    } catch (cause) {
      child.kill('SIGKILL')
      throw new Error(`${path} did not start: ${started.stderr}`, { cause })
    }
    return started
  }

  get over(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  get exitCode(): number | null {
    return this.child.exitCode
  }

  /** Settles with nothing when the program dies before it has answered, or fails to answer. */
  async ask(command: Ask): Promise<Answer | undefined> {
    const reply = await this.reply(command)
    return reply.error === undefined ? reply.answer : undefined
  }

  /** Rejects where {@link ask} settles with nothing. */
  async mustAsk(command: Ask): Promise<Answer> {
    const reply = await this.reply(command)
    if (reply.error !== undefined) {
      throw new Error(`Nothing came of ${JSON.stringify(command)}: ${reply.error}`)
    }
    return reply.answer
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  /** Waits for its end. */
  async end(within = 30_000): Promise<number | null> {
    await until('the program to end', () => this.over, within)
    await this.exited
    return this.exitCode
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.exited
  }

  private reply(command: Ask): Promise<Reply<Answer>> {
    const id = ++this.asked
    if (this.over || !this.child.connected) {
      return Promise.resolve({ id, error: `It has died: ${this.stderr}` })
    }
    return new Promise((resolve) => {
      this.waiting.set(id, resolve)
      this.child.send({ id, ask: command }, (error) => {
        if (error !== null) resolve({ id, error: error.message })
      })
    })
  }
}
