import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findGo } from '../../test/brokers/go.js'

const run = promisify(execFile)
const SOURCE = join(import.meta.dirname, 'flooder')

/** What a flood is made of. */
export interface FloodOrder {
  port: number
  perSecond: number
  seconds: number
}

/** What came of it. */
export interface FloodReport {
  milliseconds: number
  opened: number
  /** How many were answered with which status. */
  statuses: Record<string, number>
  /** Refusals without `Retry-After`. */
  withoutRetryAfter: number
  /** Connections that were closed without an answer. */
  closed: number
  /** Connections that got nothing, not even that. */
  unanswered: number
}

/** Whoever floods a server: see flooder/main.go. */
export class Flooder {
  private readonly running = new Set<ChildProcess>()

  private constructor(private readonly folder: string) {}

  /** @throws where there is no Go to build it with. */
  static async build(): Promise<Flooder> {
    const go = await findGo()
    if (go === undefined) throw new Error('The flood is built with Go, which is not there.')
    const folder = await mkdtemp(join(tmpdir(), 'unifrost-flood-'))
    await run(go, ['build', '-trimpath', '-o', join(folder, 'flooder'), '.'], { cwd: SOURCE })
    return new Flooder(folder)
  }

  /** Who got in stays until they are told to leave. */
  async flood({ port, perSecond, seconds }: FloodOrder): Promise<FloodReport> {
    const args = ['-port', String(port), '-rate', String(perSecond), '-for', `${seconds}s`]
    const child = spawn(join(this.folder, 'flooder'), args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.running.add(child)
    // The processor is shared with those whose streams are measured, and belongs to them.
    setPriority(child.pid!, 19)
    const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string]
    return JSON.parse(line) as FloodReport
  }

  /** Everybody leaves who got in. */
  async leave(): Promise<void> {
    for (const child of this.running) {
      const closed = once(child, 'close')
      child.stdin!.end()
      await closed
    }
    this.running.clear()
  }

  async stop(): Promise<void> {
    await this.leave()
    await rm(this.folder, { recursive: true, force: true })
  }
}
