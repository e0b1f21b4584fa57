import type { Timer, Timers } from '../clock.js'
import { isExposed } from '../errors.js'
import { isThenable, show } from '../option-checks.js'
import { PartError, RunEndedError } from './errors.js'
import { faultOfPartEvent, howEnded } from './format.js'
import { Inbox } from './inbox.js'
import type { ProducerSettings } from './options.js'
import { checkAppendOptions } from './options.js'
import type { Ticker } from './ticker.js'
import { Batch, checkEventLength } from './parts.js'
import type { RunEnd } from './ending.js'
import type { Lease, LeaseHolder, RunStore } from './store.js'

/** Options of `append`. */
export interface AppendOptions {
  /** The event's name. Default: none, so that a page gets it as `message`. */
  event?: string
  /** Whether only those get it who read at this moment. It has no number. Default: false. */
  transient?: boolean
}

/** What a producer works with. Its methods may be taken off it: `({ append, signal }) => …`. */
export interface Run {
  readonly id: string
  readonly name: string
  readonly owner: string | undefined
  /** 1 for the first producer, one more after each `resume`. */
  readonly term: number
  /**
   * Aborts when the run is to end before its producer does. Its reason is a text: `stopped`,
   * `nobody`, or the code with which the run has failed, such as `idle` or `server-lost`.
   */
  readonly signal: AbortSignal
  /**
   * Adds a part: a text, or a value that is sent as JSON. It is numbered at once and written soon.
   *
   * @returns its number; for a transient part, that of the part before it.
   * @throws PartError for what is neither text nor JSON; RunEndedError after the end.
   */
  readonly append: (part: unknown, options?: AppendOptions) => number
  /** Settles when all that was appended by now is in the store. Await it to wait for a slow one. */
  readonly flushed: () => Promise<void>
  /**
   * Waits for a message to the run, such as a person's approval. The run's time without a part does
   * not count meanwhile, and its status is `waiting`.
   *
   * @param milliseconds Default: for as long as it takes.
   * @returns the message, or undefined when the time or the run is over.
   */
  readonly wait: (milliseconds?: number) => Promise<unknown>
  /**
   * Gives the run back without an end. It goes on with `resume`, on any server. Nothing can be
   * appended after that; what the producer returns does not count.
   */
  readonly pause: () => Promise<void>
  /** What the run is told (`tell`), in order. It is over with the run. */
  readonly inbox: AsyncIterable<unknown>
  /** How many readers there are, on all servers. */
  readonly readers: number
}

/** A function that produces a run. What it returns is the last payload, as JSON. */
export type Produce = (run: Run) => unknown

/** What a run tells of itself. None of these may throw. */
export interface RunListener {
  ended(run: ProducedRun, end: RunEnd): void
  paused(run: ProducedRun): void
  /** The producer is over, and nothing of it goes on. */
  over(run: ProducedRun): void
  failed(error: unknown): void
}

/** Batches that are larger are written at once. */
const LARGE = 64 * 1024

/** A run on its producer's side. */
export class ProducedRun implements LeaseHolder {
  readonly inbox = new Inbox()
  private lease!: Lease
  private readonly controller = new AbortController()
  private batch = new Batch()
  /** Whether it is written with the next tick. */
  private isDue = false
  private readonly writeDue = (): void => {
    this.isDue = false
    this.flush()
  }
  private writing: Promise<void> | undefined = undefined
  private count = 0
  private bytes = 0
  /** How it ended, once it has. */
  private how: string | undefined = undefined
  private isStopping = false
  private waits = 0
  private readerCount = 0
  /** When it last had a part or a message, by the clock. */
  private heardAt = 0
  private readonly alarms: (Timer | undefined)[] = []
  private nobody: Timer | undefined = undefined

  constructor(
    readonly name: string,
    private readonly store: RunStore,
    private readonly settings: ProducerSettings,
    private readonly timers: Timers,
    private readonly ticker: Ticker,
    private readonly listener: RunListener,
  ) {}

  get id(): string {
    return this.lease.id
  }

  get owner(): string | undefined {
    return this.lease.owner
  }

  /** Starts the producer, which has not run yet when this returns. */
  begin(lease: Lease, produce: Produce): void {
    const { maxAge, maxIdle } = this.settings
    this.lease = lease
    this.count = lease.parts
    this.bytes = lease.bytes
    this.heardAt = this.timers.clock.now()
    this.alarm(maxAge, 'too-long', `It has taken longer than ${maxAge} ms (maxAge).`)
    if (maxIdle < Infinity) this.awaitPart(maxIdle)
    this.readers(this.readerCount)
    void this.produce(produce)
  }

  append(part: unknown, options: AppendOptions = {}): number {
    if (this.how !== undefined) throw new RunEndedError('nothing can be appended to it', this.how)
    checkAppendOptions(options)
    const { event, transient = false } = options
    if (event !== undefined) checkEvent(event)
    const isJson = typeof part !== 'string'
    const text = isJson ? jsonOf(part) : part
    const size = Buffer.byteLength(text)
    if ((transient ? 0 : this.bytes) + size > this.settings.maxBytes) this.tooLarge()
    this.batch.add({ text, isJson, event, transient }, size)
    if (!transient) {
      this.count++
      this.bytes += size
    }
    this.heardAt = this.timers.clock.now()
    if (this.batch.length >= LARGE) this.flush()
    else this.flushSoon()
    return this.count
  }

  async flushed(): Promise<void> {
    this.flush()
    await this.writing
  }

  async wait(milliseconds = Infinity): Promise<unknown> {
    if (this.how !== undefined) return undefined
    const { message, cancel } = this.inbox.take()
    const timer =
      milliseconds < Infinity ? this.timers.after(Math.max(0, milliseconds), cancel) : undefined
    this.waits++
    try {
      if (this.waits === 1) await this.store.waiting(this.lease, true)
      return await message
    } finally {
      this.timers.cancel(timer)
      this.heardAt = this.timers.clock.now()
      this.waits--
      if (this.waits === 0 && this.how === undefined) await this.store.waiting(this.lease, false)
    }
  }

  async pause(): Promise<void> {
    await this.flushed()
    if (this.how !== undefined) throw new RunEndedError("it can't pause", this.how)
    this.close('paused')
    const held = await this.store.pause(this.lease, this.inbox.unread)
    if (held) this.listener.paused(this)
  }

  /** Ends it from outside, without waiting for its producer. */
  async fail(code: string, message: string): Promise<void> {
    if (this.how !== undefined) return
    const finished = this.finish({ kind: 'failed', code, message })
    this.controller.abort(code)
    await finished
  }

  stop(): void {
    if (this.isStopping || this.how !== undefined) return
    this.isStopping = true
    const { settle } = this.settings
    this.alarm(settle, 'not-settled', `It was stopped, and its producer went on for ${settle} ms.`)
    this.controller.abort('stopped')
  }

  told(message: string): void {
    this.inbox.add(JSON.parse(message) as unknown)
  }

  readers(count: number): void {
    this.readerCount = count
    const { abandonAfter } = this.settings
    if (count > 0) {
      this.timers.cancel(this.nobody)
      this.nobody = undefined
    } else if (abandonAfter < Infinity && this.how === undefined) {
      this.nobody ??= this.alarm(
        abandonAfter,
        'nobody',
        `Nobody has read it for ${abandonAfter} ms.`,
      )
    }
  }

  lost(): void {
    if (this.how !== undefined) return
    this.close('failed: server-lost')
    this.controller.abort('server-lost')
  }

  private async produce(produce: Produce): Promise<void> {
    let end: RunEnd
    try {
      // A stop may come before this.
      await Promise.resolve()
      const value = this.isStopping ? undefined : await produce(this.face())
      end = this.isStopping ? { kind: 'stopped' } : { kind: 'done', ...lastPayload(value) }
    } catch (error) {
      end = this.isStopping ? { kind: 'stopped' } : failure(error)
      const isOurs = error instanceof RunEndedError && this.how !== undefined
      if (!this.isStopping && !isOurs && !isExposed(error)) this.listener.failed(error)
    }
    await this.finish(end)
    this.listener.over(this)
  }

  private face(): Run {
    // eslint-disable-next-line @typescript-eslint/no-this-alias
    const run = this
    return {
      id: run.id,
      name: run.name,
      owner: run.owner,
      term: run.lease.term,
      signal: run.controller.signal,
      inbox: run.inbox,
      append: (part, options) => run.append(part, options),
      flushed: () => run.flushed(),
      wait: (milliseconds) => run.wait(milliseconds),
      pause: () => run.pause(),
      get readers() {
        return run.readerCount
      },
    }
  }

  private async finish(end: RunEnd): Promise<void> {
    if (this.how !== undefined) return
    this.flush()
    this.close(howEnded(end))
    try {
      await this.writing
      if (await this.store.end(this.lease, end)) this.listener.ended(this, end)
    } catch (error) {
      this.listener.failed(error)
    }
  }

  /** Nothing more is taken from the producer. */
  private close(how: string): void {
    this.how = how
    for (const timer of this.alarms) this.timers.cancel(timer)
    // What waits for a message gets none; what was not read stays with a run that pauses.
    this.inbox.end()
  }

  private alarm(after: number, code: string, message: string): Timer | undefined {
    if (after === Infinity) return undefined
    const timer = this.timers.after(after, () => void this.fail(code, message))
    this.alarms.push(timer)
    return timer
  }

  private tooLarge(): never {
    const { maxBytes } = this.settings
    void this.fail('too-large', `Its parts have more than ${maxBytes} bytes (maxBytes).`)
    throw new RunEndedError('nothing can be appended to it', this.how ?? 'failed: too-large')
  }

  private awaitPart(milliseconds: number): void {
    const timer = this.timers.after(milliseconds, () => {
      this.alarms.splice(this.alarms.indexOf(timer), 1)
      const { maxIdle } = this.settings
      const now = this.timers.clock.now()
      if (this.waits > 0) this.heardAt = now
      const left = this.heardAt + maxIdle - now
      if (left > 0) this.awaitPart(left)
      else void this.fail('idle', `It had no part for ${maxIdle} ms (maxIdle).`)
    })
    this.alarms.push(timer)
  }

  private flushSoon(): void {
    if (this.isDue || this.writing !== undefined) return
    this.isDue = true
    this.ticker.add(this.writeDue)
  }

  private flush(): void {
    if (this.batch.isEmpty) return
    const { batch } = this
    this.batch = new Batch()
    const write = () => this.store.append(this.lease, batch.take(), batch.kept)
    // One after the other, so that they stand in order.
    const held = this.writing === undefined ? write() : this.writing.then(write)
    if (isThenable(held)) this.await(held)
    else if (!held) this.lost()
  }

  private await(held: Promise<boolean>): void {
    const written = held.then(
      (stillHeld) => {
        if (!stillHeld) this.lost()
      },
      (error: unknown) => {
        this.listener.failed(error)
        this.lost()
      },
    )
    const writing = written.then(() => {
      if (this.writing !== writing) return
      this.writing = undefined
      if (!this.batch.isEmpty) this.flushSoon()
    })
    this.writing = writing
  }
}

/** @throws PartError */
function checkEvent(event: unknown): asserts event is string {
  const fault = faultOfPartEvent(event)
  if (fault !== undefined) {
    throw new PartError(`event can't be ${show(event)}: ${fault}. Take another name.`)
  }
  checkEventLength(event as string)
}

/** @throws PartError */
function jsonOf(part: unknown): string {
  let text: unknown
  try {
    text = isThenable(part) ? undefined : JSON.stringify(part)
  } catch (cause) {
    throw new PartError(`it takes a text, or a value that has a JSON: ${String(cause)}`)
  }
  if (typeof text === 'string') return text
  const hint = isThenable(part) ? ' Await it.' : ''
  throw new PartError(`it takes a text, or a value that has a JSON; it got ${show(part)}.${hint}`)
}

/** What a producer returned, as JSON. What has none is no payload. */
function lastPayload(value: unknown): { data?: string } {
  if (value === undefined) return {}
  return { data: jsonOf(value) }
}

/** What readers are told of an error. Its message is for them only where it says so (`expose`). */
function failure(error: unknown): RunEnd {
  if (isExposed(error)) {
    const { code } = error as { code?: unknown }
    const name = typeof code === 'string' ? code : 'producer-failed'
    return { kind: 'failed', code: name, message: error.message }
  }
  return {
    kind: 'failed',
    code: 'producer-failed',
    message: 'The producer of this run has failed.',
  }
}
