import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { CACHE } from './places.js'

const run = promisify(execFile)
const SOURCES = join(import.meta.dirname, 'load')

/** What a connection says to get its stream. */
export interface Approach {
  protocol: 'sse' | 'websocket' | 'http2'
  /** The request's path, in which `%d` is the connection's index. */
  path: string
  /** More lines of the request's head. */
  headers?: readonly string[]
  /** WebSocket messages to send: after the upgrade, and after the first message. */
  greetings?: readonly [string, string]
  /** WebSocket messages that begin so are counted. */
  prefix?: string
  /** Each place in a WebSocket message that has this is counted, instead. */
  within?: string
}

/** What the load client has seen since its last reset. */
export interface Seen {
  complete: boolean
  frames: number
  bytes: number
  reads: number
  /** Its own CPU. */
  cpuUs: number
  us: number
  /** Over the connections that read: what the ones with the fewest and the most frames got. */
  fewest: number
  most: number
  failed: number
  greeted: number
  latency: { count: number; p50Us: number; p99Us: number; maxUs: number }
}

/** Compiles the load client, if its sources are newer than what is there. */
export async function buildLoadClient(): Promise<string> {
  const binary = join(CACHE, 'load')
  const names = (await readdir(SOURCES)).map((name) => join(SOURCES, name))
  const times = await Promise.all(names.map(async (name) => (await stat(name)).mtimeMs))
  const built = await stat(binary).catch(() => undefined)
  if (built !== undefined && built.mtimeMs > Math.max(...times)) return binary
  await mkdir(CACHE, { recursive: true })
  const sources = names.filter((name) => name.endsWith('.c'))
  const args = ['-O2', '-Wall', '-Wextra', '-D_GNU_SOURCE', '-o', binary, ...sources]
  try {
    await run('cc', args)
  } catch (cause) {
    throw new Error(
      'The load client of the bench is a C program for Linux, and could not be compiled: install ' +
        'a C compiler that is called cc (on Debian: apt-get install gcc libc6-dev).',
      { cause },
    )
  }
  return binary
}

/** Many connections to one server, in a process of its own. */
export class LoadClient {
  private readonly answers: ((line: string) => void)[] = []
  private readonly child: ChildProcess
  private complaints = ''

  constructor(binary: string) {
    this.child = spawn(binary, { stdio: ['pipe', 'pipe', 'pipe'] })
    createInterface({ input: this.child.stdout! }).on('line', (line) =>
      this.answers.shift()?.(line),
    )
    this.child.stderr!.on('data', (text) => (this.complaints += String(text)))
    this.child.once('exit', () => {
      for (const answer of this.answers.splice(0)) answer('null')
    })
  }

  async approach(how: Approach): Promise<void> {
    const { protocol, path, headers = [], greetings = ['', ''], prefix = '', within = '' } = how
    const upgrade = [
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version: 13',
    ]
    const head = [
      `GET ${path} HTTP/1.1`,
      'Host: 127.0.0.1',
      ...(protocol === 'websocket' ? upgrade : ['Accept: text/event-stream']),
      ...headers,
    ]
    const request =
      protocol === 'http2' ? path : head.map((line) => `${line}\\r\\n`).join('') + '\\r\\n'
    await this.ask(`protocol ${protocol}`)
    await this.ask(`request ${request}`)
    await this.ask(`greeting 0 ${greetings[0]}`)
    await this.ask(`greeting 1 ${greetings[1]}`)
    await this.ask(`prefix ${prefix}`)
    await this.ask(`within ${within}`)
  }

  /** Whether it looks for time stamps in what it reads. */
  async stamps(on: boolean): Promise<void> {
    await this.ask(`stamps ${on ? 1 : 0}`)
  }

  /** Opens connections, so many at once, and waits until all have their first message. */
  async open(port: number, size: number, window = 1_000, timeout = 60_000): Promise<Seen> {
    const seen = (await this.ask(`open ${port} ${size} ${window} ${timeout}`)) as Seen
    if (!seen.complete) {
      throw new Error(
        `Only ${seen.greeted - seen.failed} of ${size} got a stream. ${this.complaints}`,
      )
    }
    return seen
  }

  async reset(): Promise<void> {
    await this.ask('reset')
  }

  /** Waits until so many frames have arrived since the reset, or until the time is over. */
  async expect(frames: number, timeout = 60_000): Promise<Seen> {
    return (await this.ask(`expect ${frames} ${timeout}`)) as Seen
  }

  /** The first so many connections that are opened next take little before they are read from. */
  async narrow(size: number): Promise<void> {
    await this.ask(`narrow ${size}`)
  }

  /** The first so many connections read nothing any more. */
  async stall(size: number): Promise<void> {
    await this.ask(`stall ${size}`)
  }

  async close(): Promise<void> {
    await this.ask('close')
  }

  /** The end of what the first connection has read. */
  async peek(): Promise<string> {
    return (await this.ask('peek')) as string
  }

  stop(): void {
    this.child.kill('SIGKILL')
  }

  private async ask(command: string): Promise<unknown> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) {
      throw new Error(`The load client has ended. ${this.complaints}`)
    }
    const answer = new Promise<string>((resolve) => this.answers.push(resolve))
    this.child.stdin!.write(`${command}\n`)
    const value: unknown = JSON.parse(await answer)
    if (value === null) throw new Error(`The load client ended. ${this.complaints}`)
    return value
  }
}
