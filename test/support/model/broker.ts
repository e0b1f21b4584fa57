import type { Driver, Sink, Subscription } from '../../../src/driver.js'

/** How the driver of the model answers its next `subscribe`. */
export type Opening = 'now' | 'chatty' | 'late' | 'refuse' | 'refuseLate' | 'failAtOnce'

interface Opened {
  sink: Sink
  /** The driver was told to close it, or has failed it. */
  over: boolean
  closed: boolean
}

/** What reached a topic, as the oracle is told of it. */
export interface Reached {
  topic: string
  kind: 'message' | 'gap' | 'failure'
  number: number
}

/** A driver that is its own broker, and as awkward as the contract allows. */
export class ModelBroker implements Driver {
  opening: Opening = 'now'
  closed = 0
  /** How often each topic was opened, failed or closed: whether it is still the same one. */
  readonly changes = new Map<string, number>()
  private readonly past: Reached[] = []
  private readonly numbers = new Map<string, number>()
  private readonly topics = new Map<string, Opened>()
  private readonly all: Opened[] = []
  private readonly waiting: (() => void)[] = []

  constructor(private readonly tell: (what: Reached) => void) {}

  /** What a rewind of a topic may bring. */
  pastOf(topic: string): readonly Reached[] {
    return this.past.filter((what) => what.topic === topic)
  }

  async subscribe(topic: string, sink: Sink): Promise<Subscription> {
    const { opening } = this
    this.opening = 'now'
    const before = this.topics.get(topic)
    if (before !== undefined && !before.over) throw new Error(`${topic} was opened twice.`)
    if (opening === 'refuse') throw new Error('refused')
    if (opening === 'refuseLate') {
      await this.release()
      throw new Error('refused late')
    }
    const opened: Opened = { sink, over: false, closed: false }
    this.topics.set(topic, opened)
    this.all.push(opened)
    this.change(topic)
    if (opening === 'chatty') this.arrive(topic, 10)
    if (opening === 'failAtOnce') this.fail(topic)
    if (opening === 'late') await this.release()
    return {
      close: async () => {
        if (opened.closed) throw new Error(`${topic} was closed twice.`)
        if (!opened.over) this.change(topic)
        opened.over = true
        await Promise.resolve()
        opened.closed = true
      },
    }
  }

  async close(): Promise<void> {
    this.closed++
  }

  /** Publishes one message of about this size. */
  arrive(topic: string, size: number): void {
    const opened = this.open(topic)
    if (opened === undefined) return
    const number = (this.numbers.get(topic) ?? 0) + 1
    this.numbers.set(topic, number)
    this.reached({ topic, kind: 'message', number })
    opened.sink.message(`${number}:${'x'.repeat(size)}`)
  }

  gap(topic: string): void {
    const opened = this.open(topic)
    if (opened === undefined) return
    this.reached({ topic, kind: 'gap', number: 0 })
    opened.sink.gap('The model says so.')
  }

  fail(topic: string): void {
    const opened = this.open(topic)
    if (opened === undefined) return
    opened.over = true
    this.change(topic)
    this.reached({ topic, kind: 'failure', number: 0 })
    opened.sink.fail(new Error('The model says so.'))
    // Late callbacks of a broker's library do not count.
    opened.sink.message('late')
    opened.sink.fail(new Error('late'))
  }

  /** Leaves no `subscribe` waiting, not even the next one. */
  beDirect(): void {
    if (this.opening === 'late') this.opening = 'now'
    if (this.opening === 'refuseLate') this.opening = 'refuse'
    this.settle()
  }

  /** Lets the `subscribe` calls that wait settle. */
  settle(): void {
    for (const resolve of this.waiting.splice(0)) resolve()
  }

  /** How many subscriptions were opened and not closed. */
  get leftOpen(): number {
    return this.all.filter(({ closed }) => !closed).length
  }

  private reached(what: Reached): void {
    this.past.push(what)
    this.tell(what)
  }

  private open(topic: string): Opened | undefined {
    const opened = this.topics.get(topic)
    return opened?.over === false ? opened : undefined
  }

  private change(topic: string): void {
    this.changes.set(topic, (this.changes.get(topic) ?? 0) + 1)
  }

  private release(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve))
  }
}
