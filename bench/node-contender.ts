import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

/** What a contender is to publish. */
export interface Order {
  messages: number
  /** The payload's. */
  bytes: number
  /** How many in one turn of the event loop. */
  burst: number
  /** How many a second. Default: one turn after the other. */
  rate?: number
}

/** What a server process has used since it was last told to publish. */
export interface Usage {
  cpuUs: number
  rss: number
  heap: number
  /** The most memory that was seen while it published. */
  peak: number
}

/** The size of things that a contender has to know. */
export interface Shape {
  clients: number
  topics: number
  perClient: number
}

export const ONE_TOPIC = { topics: 1, perClient: 1 }

/** A server process that is running. */
export interface Running {
  readonly port: number
  /** Publishes. @returns how many deliveries that makes. */
  publish(order: Order): Promise<{ owed: number; us: number }>
  /** @param collect Whether to collect the garbage first, where there is any. */
  usage(collect?: boolean): Promise<Usage>
  /**
   * For servers with queues of their own, which would join what was published one by one: called
   * after each burst, with the deliveries that are owed by then.
   */
  afterBurst?: (owed: number) => Promise<void>
  /** The CPU in µs that what stands before the server has used since the last publishing. */
  besides?(): Promise<number>
  /** Counts its CPU from here on. */
  mark(): Promise<void>
  stop(): Promise<void>
}

/** One of `bench/contenders/`, in a process of its own. */
export class NodeContender implements Running {
  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
    private readonly errors: () => string,
  ) {}

  static async start(file: string, shape: Shape, env: Record<string, string> = {}) {
    const child = fork(join(import.meta.dirname, 'contenders', `${file}.mjs`), {
      env: {
        ...process.env,
        NODE_ENV: 'production',
        CLIENTS: String(shape.clients),
        TOPICS: String(shape.topics),
        PER_CLIENT: String(shape.perClient),
        ...env,
      },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    let said = ''
    child.stderr!.on('data', (text) => (said = (said + String(text)).slice(-2_000)))
    const first = await answerOf(child, () => said)
    return new NodeContender(child, first.port as number, () => said)
  }

  async publish(order: Order): Promise<{ owed: number; us: number }> {
    return (await this.ask({ order: 'publish', ...order })) as { owed: number; us: number }
  }

  async usage(collect = false): Promise<Usage> {
    return (await this.ask({ order: 'usage', collect })) as unknown as Usage
  }

  async mark(): Promise<void> {
    await this.ask({ order: 'mark' })
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await ended
  }

  private async ask(message: Record<string, unknown>): Promise<Record<string, unknown>> {
    const answer = answerOf(this.child, this.errors)
    this.child.send(message)
    return answer
  }
}

/** The next message of a child, or an error with what it said before it ended. */
async function answerOf(child: ChildProcess, said: () => string): Promise<Record<string, unknown>> {
  const over = new AbortController()
  const { signal } = over
  try {
    return await Promise.race([
      once(child, 'message', { signal }).then(([message]) => message as Record<string, unknown>),
      once(child, 'exit', { signal }).then(([code, cause]) => {
        throw new Error(`A contender ended with ${code ?? cause}:\n${said()}`)
      }),
    ])
  } finally {
    over.abort()
  }
}
