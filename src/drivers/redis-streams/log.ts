import type { Payload } from '../../driver.js'
import type { Log, LogEntry, LogSink, LogSubscription } from '../../log.js'
import { Watchers } from '../../driver-kit/index.js'
import { epochKey, partsOf, settleEpoch } from './epoch.js'
import type { Call } from './epoch.js'
import { EntryIdError, numberOf } from './number.js'
import type { StreamInfo } from './position.js'
import type { StreamsReader } from './reader.js'
import { replay } from './replay.js'
import type { Routes } from './routes.js'
import type { LogEvents, RedisStreamMessage, StreamEvents } from './stream.js'

/** A topic that somebody has subscribed to. */
interface OpenTopic {
  readonly name: string
  readonly sink: LogSink
  /** It gets the entries after this number. */
  after: number
}

/**
 * One stream as the log of all topics. The driver reads it from when it is opened until the driver is
 * closed, also while there are no topics, so that the position moves on.
 */
export class StreamLog implements Log, StreamEvents {
  onRestart: (() => void) | undefined = undefined
  epoch: string | undefined = undefined
  secret: string | undefined = undefined
  position = 0
  readonly log: LogEvents
  readonly #topics = new Map<string, OpenTopic>()
  readonly #watchers = new Watchers()
  #opening: Promise<void> | undefined
  #isOpen = false
  /** The value of the key, of which the epoch is a part. */
  #value: string | undefined = undefined
  #looking: Promise<StreamInfo | undefined> | undefined
  #lookingNext: Promise<StreamInfo | undefined> | undefined

  constructor(
    private readonly reader: StreamsReader,
    private readonly stream: string,
    private readonly routes: Routes,
    /** How long `reach` waits for a number, in milliseconds. */
    private readonly timeout: number,
  ) {
    this.log = {
      key: epochKey(stream),
      settle: (call, found, last, isAnew) => this.#settle(call, found, last, isAnew),
      begin: (value, id) => this.#begin(value, id),
      at: (id) => this.#moveTo(numberOf(id) ?? 0),
    }
  }

  async open(): Promise<void> {
    if (this.#isOpen) return
    this.#opening ??= this.reader
      .open(this.stream, this)
      .then(() => undefined)
      .finally(() => (this.#opening = undefined))
    await this.#opening
  }

  async subscribe(topic: string, sink: LogSink): Promise<LogSubscription> {
    await this.open()
    const info = await this.#look()
    if (!this.#isOpen) throw new Error(`The stream ${JSON.stringify(this.stream)} was given up.`)
    // Entries that were read since that answer did not go to this topic.
    const position = Math.max(this.position, (info && numberOf(info.last)) ?? 0)
    const open = { name: topic, sink, after: position }
    this.#topics.set(topic, open)
    const close = async () => {
      if (this.#topics.get(topic) === open) this.#topics.delete(topic)
    }
    return { position, close }
  }

  async reach(number: number): Promise<boolean> {
    if (number <= this.position) return true
    const until = performance.now() + this.timeout
    await this.open()
    const { epoch } = this
    const info = await this.#look()
    if (info === undefined || (numberOf(info.last) ?? 0) < number) return number <= this.position
    // The newest entries were deleted, so no read brings us there; a closer look does.
    if (info.final !== info.last) this.reader.checkSoon()
    const isOver = () => number <= this.position || epoch !== this.epoch
    await this.#watchers.until(isOver, until - performance.now())
    return epoch === this.epoch && number <= this.position
  }

  async *read(topics: readonly string[], after: number, through: number): AsyncGenerator<LogEntry> {
    const { stream, routes } = this
    const epoch = this.#value
    const call = await this.reader.commands()
    yield* replay(call, { stream, key: this.log.key, epoch, routes, topics, after, through })
  }

  message(message: RedisStreamMessage): void {
    const { id, stream } = message
    const number = numberOf(id)
    let names: string[]
    try {
      names = this.routes.topicsOf(message)
    } catch (error) {
      this.gap(`route failed on a message from ${stream}: ${String(error)}`, number)
      this.#moveTo(number ?? 0)
      return
    }
    const topics = names.flatMap((name) => this.#topics.get(name) ?? [])
    if (number === undefined || number <= this.position) {
      const reason =
        `Entry ${id} of ${stream} has no number that follows ${this.position}. Let Redis make the ` +
        'ids, with XADD *, or give log: false.'
      for (const { sink } of topics) sink.gap(reason)
      return
    }
    this.#hand(
      message,
      number,
      topics.filter(({ after }) => number > after),
    )
    this.#moveTo(number)
  }

  gap(reason: string, through?: number): void {
    for (const { sink, after } of [...this.#topics.values()]) {
      if (through === undefined || through > after) sink.gap(reason, through)
    }
  }

  fail(error: Error): void {
    this.#isOpen = false
    const topics = [...this.#topics.values()]
    this.#topics.clear()
    for (const { sink } of topics) sink.fail(error)
  }

  #hand(message: RedisStreamMessage, number: number, topics: readonly OpenTopic[]): void {
    if (topics.length === 0) return
    let payloads: Payload[]
    try {
      payloads = topics.map(({ name }) => this.routes.payloadOf(message, name))
    } catch (error) {
      const reason = `payload failed on a message from ${this.stream}: ${String(error)}`
      for (const { sink } of topics) sink.gap(reason, number)
      return
    }
    const shared = topics.length > 1
    for (const [i, { sink }] of topics.entries()) sink.message(payloads[i]!, number, shared)
  }

  async #settle(call: Call, found: string | undefined, last: string, isAnew: boolean) {
    const number = numberOf(last)
    if (number === undefined) throw new EntryIdError(this.stream, last)
    const isBack = isAnew || (!this.#isOpen && number < this.position)
    return settleEpoch(call, this.log.key, found, this.#value, isBack)
  }

  #begin(value: string, id: string): void {
    const before = this.#value
    this.#isOpen = true
    const position = numberOf(id) ?? 0
    if (value === before) {
      this.#moveTo(position)
      return
    }
    this.#value = value
    const { epoch, secret } = partsOf(value)
    this.epoch = epoch
    this.secret = secret
    this.position = position
    for (const topic of this.#topics.values()) topic.after = 0
    this.#watchers.look()
    if (before === undefined) return
    if (this.onRestart) this.onRestart()
    else this.gap(`${this.stream}: The stream was made anew.`)
  }

  #moveTo(number: number): void {
    if (number <= this.position) return
    this.position = number
    this.#watchers.look()
  }

  /**
   * Looks where the stream ends. A look that is already under way may be too old an answer, so the
   * caller gets the next one. All who call meanwhile share that one.
   */
  #look(): Promise<StreamInfo | undefined> {
    if (this.#looking === undefined) return this.#startLook()
    const start = () => {
      this.#lookingNext = undefined
      return this.#startLook()
    }
    this.#lookingNext ??= this.#looking.then(start, start)
    return this.#lookingNext
  }

  #startLook(): Promise<StreamInfo | undefined> {
    const looking = this.reader.look(this.stream).finally(() => {
      if (this.#looking === looking) this.#looking = undefined
    })
    this.#looking = looking
    return looking
  }
}
