import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { takesConnections } from '../../test/brokers/process.js'
import { until } from '../../src/testing/index.js'
import type { Order, Running, Usage } from '../node-contender.js'
import { cpuOf, memoryOf } from './process-usage.js'

/** How a server that is no program of ours is told to publish: all payloads in one go. */
export type Publish = (payloads: readonly string[]) => Promise<void>

/** A server that is no program of ours, watched from outside. */
export class Peer implements Running {
  afterBurst: (owed: number) => Promise<void> = async () => undefined
  private cpu = 0
  private peak = 0

  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
    private readonly clients: number,
    private readonly send: Publish,
  ) {}

  static async start(
    command: string,
    args: readonly string[],
    port: number,
    clients: number,
    send: Publish,
  ): Promise<Peer> {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.stderr.on('data', (text) => (said = (said + String(text)).slice(-2_000)))
    child.once('error', (error) => (said += error.message))
    try {
      await until(`${command} takes connections`, () => takesConnections(port), 20_000)
    } catch (cause) {
      child.kill('SIGKILL')
      throw new Error(`${command} did not start:\n${said}`, { cause })
    }
    return new Peer(child, port, clients, send)
  }

  async publish({ messages, bytes, burst }: Order): Promise<{ owed: number; us: number }> {
    await this.mark()
    const began = performance.now()
    for (let sent = 0; sent < messages; sent += burst) {
      const payloads = Array.from({ length: Math.min(burst, messages - sent) }, () =>
        payload(bytes),
      )
      await this.send(payloads)
      await this.afterBurst((sent + payloads.length) * this.clients)
    }
    this.peak = await memoryOf(this.child.pid!)
    return { owed: messages * this.clients, us: (performance.now() - began) * 1_000 }
  }

  async usage(): Promise<Usage> {
    const rss = await memoryOf(this.child.pid!)
    const cpuUs = (await cpuOf(this.child.pid!)) - this.cpu
    return { cpuUs, rss, heap: 0, peak: Math.max(rss, this.peak) }
  }

  async mark(): Promise<void> {
    this.cpu = await cpuOf(this.child.pid!)
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await ended
  }
}

/** As the contenders in Node make it: with the time, by the clock that all processes share. */
function payload(bytes: number): string {
  const stamp = `~${process.hrtime.bigint()}~`
  return stamp + 'x'.repeat(Math.max(0, bytes - stamp.length))
}
