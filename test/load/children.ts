import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { CrowdCommand, CrowdReport, ServerCommand, ServerReport } from './messages.js'

/** A process of a load run. It ends when its parent does. */
class Child<Command extends object, Report> {
  protected constructor(readonly process: ChildProcess) {}

  tell(command: Command): void {
    this.process.send(command)
  }

  /** The child's answer to the last command that has one. */
  async answer<T>(): Promise<T> {
    const [answer] = (await once(this.process, 'message')) as [T]
    return answer
  }

  async measure(): Promise<Report> {
    const answer = this.answer<Report>()
    this.process.send({ do: 'measure' })
    return answer
  }

  async stop(): Promise<void> {
    const exited = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await exited
  }

  protected static fork(file: string, args: string[], env: Record<string, string>): ChildProcess {
    return fork(join(import.meta.dirname, file), args, {
      execArgv: ['--expose-gc', '--import', 'tsx'],
      env: { ...process.env, ...env },
    })
  }
}

/** The server under load. */
export class LoadServer extends Child<ServerCommand, ServerReport> {
  port = 0

  static async start(env: Record<string, string>): Promise<LoadServer> {
    const server = new LoadServer(Child.fork('server.ts', [], env))
    server.port = await server.answer<number>()
    return server
  }

  /** Publishes and waits until all is published. */
  async publish(count: number, bytes: number, perSecond: number): Promise<void> {
    const done = this.answer<string>()
    this.tell({ do: 'publish', count, bytes, perSecond })
    await done
  }
}

/** The browsers. */
export class Crowd extends Child<CrowdCommand, CrowdReport> {
  static async start(port: number): Promise<Crowd> {
    const crowd = new Crowd(Child.fork('crowd.ts', [String(port)], {}))
    await crowd.answer<string>()
    return crowd
  }

  private reports: CrowdReport[] = []

  override async measure(): Promise<CrowdReport> {
    const report = await super.measure()
    this.reports.push(report)
    return report
  }

  /** Everything since this was last asked: sums, and the highest of the quantiles. */
  take(): CrowdReport {
    const reports = this.reports
    this.reports = []
    const sum = (key: 'received' | 'lost') => reports.reduce((all, one) => all + one[key], 0)
    const highest = (key: 'p50' | 'p99' | 'max') => Math.max(0, ...reports.map((one) => one[key]))
    return {
      greeted: reports.at(-1)?.greeted ?? 0,
      received: sum('received'),
      lost: sum('lost'),
      p50: highest('p50'),
      p99: highest('p99'),
      max: highest('max'),
    }
  }

  /** How many messages came since `take`. */
  get received(): number {
    return this.reports.reduce((all, { received }) => all + received, 0)
  }

  open(from: number, to: number, reading = true): void {
    this.tell({ do: 'open', from, to, reading })
  }
}
