import { setImmediate as turn } from 'node:timers/promises'
import type { Payload } from '../../src/driver.js'
import type { Log, LogDriver, LogEntry, LogSink, LogSubscription } from '../../src/log.js'

/** One entry of the log, and the topics that it is for. */
export interface StubEntry {
  number: number
  payload: string
  topics: string[]
  /** Whether the driver can't make a message of it. */
  spoiled?: boolean
}

/** A broker that is a log, in memory, for any number of {@link LogServer}s. */
export class StubLog {
  entries: StubEntry[] = []
  /** All that there ever were, those that were dropped too. */
  readonly past: StubEntry[] = []
  epoch = 'log1'
  /** The number of the newest entry. */
  last = 0
  /** What of an entry is sent to a topic. */
  payloadOf: (text: string, topic: string) => Payload = (text) => text
  /** Up to here, entries were dropped. */
  trimmedThrough = 0
  private readonly servers = new Set<LogServer>()
  private lives = 1

  /** A driver that reads this log, as one more server process would have. */
  server(): LogServer {
    const server = new LogServer(this)
    this.servers.add(server)
    return server
  }

  /** Appends an entry, whose payload is made of its number; `step` leaves numbers out. */
  publish(topics: string[], payload: string | ((number: number) => string), step = 1): StubEntry {
    const number = this.last + step
    const text = typeof payload === 'string' ? payload : payload(number)
    const entry = { number, payload: text, topics: topics.toSorted() }
    this.last = number
    this.entries.push(entry)
    this.past.push(entry)
    for (const server of this.servers) if (!server.lags) server.pump()
    return entry
  }

  /** Drops the oldest entries. */
  trim(through: number): void {
    this.trimmedThrough = Math.max(this.trimmedThrough, Math.min(through, this.last))
    this.entries = this.entries.filter(({ number }) => number > this.trimmedThrough)
  }

  /** Deletes it, and makes it anew. */
  remake(): void {
    this.epoch = `log${++this.lives}`
    this.entries = []
    this.last = 0
    this.trimmedThrough = 0
    for (const server of this.servers) if (!server.lags) server.pump()
  }
}

interface Reading {
  topic: string
  sink: LogSink
  after: number
  closed: boolean
}

/** One server's driver. */
export class LogServer implements LogDriver, Log {
  epoch: string | undefined = undefined
  secret: string | undefined = 'what the servers of the stub know'
  position = 0
  onRestart: (() => void) | undefined = undefined
  /** Whether it reads only when it is told to. */
  lags = false
  /** So many calls fail. */
  refusals = 0
  closes = 0
  /** How often it is being read at this moment. */
  reading = 0
  /** How often the log was read, for which topics and from where to where. */
  readonly reads: [topics: string[], after: number, through: number][] = []
  private readonly readings = new Set<Reading>()

  constructor(private readonly broker: StubLog) {}

  get log(): Log {
    return this
  }

  /** How many subscriptions are open. */
  get left(): number {
    return [...this.readings].filter(({ closed }) => !closed).length
  }

  sinkOf(topic: string): LogSink | undefined {
    return [...this.readings].findLast((one) => one.topic === topic && !one.closed)?.sink
  }

  async open(): Promise<void> {
    this.refuse()
    this.pump()
  }

  async subscribe(topic: string, sink: LogSink): Promise<LogSubscription> {
    this.refuse()
    if (this.sinkOf(topic) !== undefined) throw new Error(`${topic} was opened twice.`)
    if (this.epoch !== this.broker.epoch) this.pump()
    const position = Math.max(this.broker.last, this.position)
    const reading = { topic, sink, after: position, closed: false }
    this.readings.add(reading)
    const close = async () => {
      if (reading.closed) throw new Error(`${topic} was closed twice.`)
      reading.closed = true
    }
    return { close, position }
  }

  /** Hands over what there is. */
  pump(): void {
    if (this.epoch !== this.broker.epoch) this.begin()
    const { trimmedThrough } = this.broker
    if (trimmedThrough > this.position) {
      for (const { sink, closed, after } of this.readings) {
        if (!closed && after < trimmedThrough)
          sink.gap('It was trimmed before it was read.', trimmedThrough)
      }
      this.position = trimmedThrough
    }
    for (const { number, topics, payload, spoiled } of this.broker.entries) {
      if (number <= this.position) continue
      const readings = [...this.readings]
        .filter(({ topic, after, closed }) => !closed && topics.includes(topic) && number > after)
        .toSorted((a, b) => (a.topic < b.topic ? -1 : 1))
      for (const { sink, topic } of readings) {
        if (spoiled) sink.gap('It can not be sent.', number)
        else sink.message(this.broker.payloadOf(payload, topic), number, readings.length > 1)
      }
      this.position = number
    }
    this.position = this.broker.last
  }

  async reach(number: number): Promise<boolean> {
    await turn()
    this.pump()
    return number <= this.position
  }

  async *read(topics: readonly string[], after: number, through: number): AsyncGenerator<LogEntry> {
    this.reads.push([[...topics], after, through])
    this.reading++
    try {
      yield* this.entries(topics, after, through)
    } finally {
      this.reading--
    }
  }

  async close(): Promise<void> {
    this.closes++
  }

  private async *entries(
    topics: readonly string[],
    after: number,
    through: number,
  ): AsyncGenerator<LogEntry> {
    const { broker, epoch } = this
    for (let at = after; at < through;) {
      await turn()
      this.refuse()
      if (epoch !== broker.epoch) throw new Error('The log was made anew.')
      if (broker.trimmedThrough > at) {
        at = Math.min(broker.trimmedThrough, through)
        yield { lostThrough: at }
      }
      const some = broker.entries
        .filter(({ number }) => number > at && number <= through)
        .slice(0, 5)
      for (const { number, payload, topics: all, spoiled } of some) {
        const mine = all.filter((topic) => topics.includes(topic))
        if (mine.length === 0) continue
        if (spoiled) yield { lostThrough: number }
        else {
          const payloads = mine.map((topic) => broker.payloadOf(payload, topic))
          yield { number, payload: payloads, topics: mine }
        }
      }
      at = some.at(-1)?.number ?? through
    }
  }

  private begin(): void {
    const again = this.epoch !== undefined
    this.epoch = this.broker.epoch
    this.position = again ? 0 : this.broker.last
    for (const reading of this.readings) reading.after = 0
    if (again) this.onRestart?.()
  }

  private refuse(): void {
    if (this.refusals <= 0) return
    this.refusals--
    throw new Error('The log is away.')
  }
}
