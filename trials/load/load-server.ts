import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { ConnectionRate } from '../../src/index.js'
import type {
  CrowdCommand,
  CrowdReport,
  ServerCommand,
  ServerReport,
} from './counting-server-messages.js'
import type { LoadSettings } from './counting-server.js'

/** A process of a load run. It ends when its parent does. */
class Child<Command extends object> {
  protected constructor(protected readonly process: ChildProcess) {}

  tell(command: Command): void {
    this.process.send(command)
  }

  /** What it says next; who has died says nothing more. */
  async answer<T>(): Promise<T> {
    const died = new AbortController()
    const [answer] = (await Promise.race([
      once(this.process, 'message', { signal: died.signal }),
      once(this.process, 'exit', { signal: died.signal }).then(([code]) => {
        throw new Error(`A process of the load run ended with ${String(code)}.`)
      }),
    ]).finally(() => died.abort())) as [T]
    return answer
  }

  async ask<T>(command: Command): Promise<T> {
    const answer = this.answer<T>()
    this.tell(command)
    return answer
  }

  async stop(): Promise<void> {
    const { exitCode, signalCode } = this.process
    if (exitCode !== null || signalCode !== null) return
    const exited = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await exited
  }

  protected static spawn(
    prefix: readonly string[],
    file: string,
    args: string[],
    env: Record<string, string> = {},
  ): ChildProcess {
    const node = [process.execPath, '--expose-gc', '--import', 'tsx']
    const [command, ...rest] = [...prefix, ...node, join(import.meta.dirname, file), ...args]
    return spawn(command!, rest, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
  }
}

/** The server under load. */
export class LoadServer extends Child<ServerCommand> {
  port = 0

  /** @param prefix Goes before Node's own command. */
  static async start(settings: LoadSettings, prefix: readonly string[]): Promise<LoadServer> {
    const env = { LOAD_SETTINGS: JSON.stringify(settings) }
    const server = new LoadServer(Child.spawn(prefix, 'server.ts', [], env))
    server.port = await server.answer<number>()
    return server
  }

  async measure({ collect = true } = {}): Promise<ServerReport> {
    return this.ask({ do: 'measure', collect })
  }

  /** Publishes and waits until all is published. */
  async publish(count: number, bytes: number, perSecond: number): Promise<void> {
    await this.ask({ do: 'publish', count, bytes, perSecond })
  }

  /** Has so many clients change a topic for another. */
  async churn(count: number): Promise<void> {
    await this.ask({ do: 'churn', count })
  }

  /** Takes so many new connections in a second, from now on. */
  async limit(rate: ConnectionRate): Promise<void> {
    await this.ask({ do: 'limit', rate })
  }
}

/** The browsers. */
export class Crowd extends Child<CrowdCommand> {
  static async start(port: number, prefix: readonly string[]): Promise<Crowd> {
    const crowd = new Crowd(Child.spawn(prefix, 'crowd.ts', [String(port)]))
    await crowd.answer()
    return crowd
  }

  async report(): Promise<CrowdReport> {
    return this.ask({ do: 'report' })
  }

  /** Everything since this was last asked. */
  async take(): Promise<CrowdReport> {
    return this.ask({ do: 'take' })
  }
}
