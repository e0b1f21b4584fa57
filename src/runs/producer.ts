import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { safely } from '../callbacks.js'
import { systemClock, Timers } from '../clock.js'
import { StreamerClosedError } from '../errors.js'
import { isThenable, refuse } from '../option-checks.js'
import { ownerNamed } from '../service/owner.js'
import {
  checkRunName,
  faultOfRunName,
  NoRunError,
  RunEndedError,
  RunExpiredError,
  RunRunningError,
} from './errors.js'
import { valueOf } from './folding.js'
import { howEnded } from './format.js'
import type { ForOwner, ProducerOptions, ProducerSettings, StartOptions } from './options.js'
import { checkForOwner, checkStartOptions, producerSettings } from './options.js'
import type { ReadEnd } from './reading.js'
import { readEnd } from './reading.js'
import type { Produce } from './run.js'
import { ProducedRun } from './run.js'
import type { RunEnd } from './ending.js'
import { Ticker } from './ticker.js'
import type { GoneRecord, RunRecord, RunStore } from './store.js'

/** What `start` answers. */
export interface Started {
  /** The run's own id, which another run of this name does not have. */
  readonly id: string
  readonly name: string
  /** Whether this call has started it. False: it went on already, and its producer is another one. */
  readonly started: boolean
}

/** What `stop` answers: what the run was before. */
export interface Stopping {
  readonly was: 'running' | 'paused' | 'stopping' | 'ended' | 'none'
}

/** A run that has ended, for a listener of `end`. */
export type EndedRun = ReadEnd & {
  readonly id: string
  readonly name: string
  readonly owner: string | undefined
  /** All texts of the run, joined: parts that are no text as their JSON. */
  readonly text: string
  /** All parts, as they were appended. */
  readonly parts: readonly { readonly event: string | undefined; readonly data: unknown }[]
}

/** The events of a producer, with the arguments of their listeners. */
export interface ProducerEvents {
  /** A run that was produced here has ended. */
  end: [run: EndedRun]
  /** An error that no caller gets: a producer that threw, a listener that failed. */
  error: [error: Error]
}

/** Starts runs and stops them. See `producer` and `runs`. */
export class Producer {
  protected readonly settings: ProducerSettings
  protected readonly timers: Timers
  private readonly ticker: Ticker
  private readonly events = new EventEmitter()
  private readonly producing = new Set<ProducedRun>()
  private idle: (() => void)[] = []
  private isLeaving = false

  constructor(
    protected readonly store: RunStore,
    options: ProducerOptions,
  ) {
    this.settings = producerSettings(options, store)
    this.timers = new Timers(options.clock ?? systemClock)
    this.ticker = new Ticker(this.timers, this.settings.maxDelay)
  }

  on<Name extends keyof ProducerEvents>(
    event: Name,
    listener: (...details: ProducerEvents[Name]) => unknown,
  ): this {
    this.events.on(event, listener as (...details: unknown[]) => void)
    return this
  }

  off<Name extends keyof ProducerEvents>(
    event: Name,
    listener: (...details: ProducerEvents[Name]) => unknown,
  ): this {
    this.events.off(event, listener as (...details: unknown[]) => void)
    return this
  }

  /**
   * Starts a run, unless one of this name goes on. Of all calls on all servers, one starts it. The
   * producer begins after this has settled.
   *
   * @throws RunNameError, OptionsError; RunRunningError with `onRunning: 'refuse'`; NoRunError if the
   *   name is that of another owner's run; TooManyRunsError, StreamerClosedError, RunStoreError.
   */
  async start(name: string, produce: Produce): Promise<Started>
  async start(name: string, options: StartOptions, produce: Produce): Promise<Started>
  async start(name: string, given: StartOptions | Produce, last?: Produce): Promise<Started> {
    const { options, produce } = argumentsOf('start', given, last)
    checkRunName(name)
    const { run, answer } = await this.acquire(name, options, false)
    if (answer === undefined) throw new NoRunError()
    if ('lease' in answer) return this.begin(run, answer.lease, produce)
    const { found } = answer
    if (found.state === 'expired') throw new RunExpiredError()
    if (options.onRunning === 'refuse') throw new RunRunningError()
    return { id: found.id, name, started: false }
  }

  /**
   * Takes a paused run up: a new producer goes on in its numbering.
   *
   * @returns `started: false` where it goes on already.
   * @throws NoRunError, RunExpiredError; RunEndedError if it has ended; RunRunningError with
   *   `onRunning: 'refuse'`; OptionsError, StreamerClosedError, RunStoreError.
   */
  async resume(name: string, produce: Produce): Promise<Started>
  async resume(name: string, options: StartOptions, produce: Produce): Promise<Started>
  async resume(name: string, given: StartOptions | Produce, last?: Produce): Promise<Started> {
    const { options, produce } = argumentsOf('resume', given, last)
    checkRunName(name)
    const run = await this.current(name, options)
    if (run === undefined) throw new NoRunError()
    if (run.state === 'expired') throw new RunExpiredError()
    const { run: produced, answer } = await this.acquire(
      name,
      run.owner === undefined ? options : { ...options, owner: run.owner },
      true,
    )
    if (answer === undefined) throw new NoRunError()
    if ('lease' in answer) return this.begin(produced, answer.lease, produce)
    const { found } = answer
    if (found.state === 'expired') throw new RunExpiredError()
    if (found.state === 'ended') throw new RunEndedError("it can't be resumed", howOf(found))
    if (options.onRunning === 'refuse') throw new RunRunningError()
    return { id: found.id, name, started: false }
  }

  /**
   * Stops the run of this name, wherever it is produced. It ends when its producer has settled.
   *
   * @returns what it was; `none` also for a run of another owner than is given.
   */
  async stop(name: string, options: ForOwner = {}): Promise<Stopping> {
    const run = await this.current(name, options, 'stop')
    if (run === undefined || run.state === 'expired') return { was: 'none' }
    const was = await this.store.stop(run.id)
    if (was === undefined) return { was: 'none' }
    return { was: was === 'waiting' ? 'running' : was }
  }

  /**
   * Tells the run of this name something, which its producer gets from `run.inbox` or `run.wait`.
   *
   * @param message Any value that has a JSON.
   * @returns the message's number in this run, and 202 for an answer's status.
   * @throws NoRunError, RunExpiredError; RunEndedError after the end.
   */
  async tell(
    name: string,
    message: unknown,
    options: ForOwner = {},
  ): Promise<{ readonly status: 202; readonly id: string; readonly number: number }> {
    const text = isThenable(message) ? undefined : (JSON.stringify(message) as string | undefined)
    if (text === undefined) refuse('tell', 'message', message, 'a value that has a JSON')
    const run = await this.current(name, options, 'tell')
    if (run === undefined) throw new NoRunError()
    if (run.state === 'expired') throw new RunExpiredError()
    const number = await this.store.tell(run.id, text)
    if (number === undefined) {
      const ended = await this.store.get(run.id)
      throw new RunEndedError('it can be told nothing', howOf(ended))
    }
    return { status: 202, id: run.id, number }
  }

  /** Waits for the runs that are produced here to end, and lets no others begin. */
  async drain(): Promise<void> {
    this.isLeaving = true
    if (this.producing.size === 0) return
    const gone = new Promise<void>((resolve) => this.idle.push(resolve))
    const { drainProducers } = this.settings
    if (drainProducers === Infinity) return gone
    const late = new Promise<void>((resolve) => this.timers.after(drainProducers, resolve))
    await Promise.race([gone, late])
  }

  /** Ends the runs that are produced here as `failed` with `server-stopped`, and closes the store. */
  async close(): Promise<void> {
    this.isLeaving = true
    const runs = [...this.producing]
    await Promise.all(runs.map((run) => run.fail('server-stopped', 'Its server was stopped.')))
    this.timers.stop()
    await this.store.close()
  }

  /** The newest run of a name, if it is for who asks. */
  protected async current(
    name: unknown,
    options: ForOwner,
    caller?: string,
  ): Promise<RunRecord | GoneRecord | undefined> {
    if (caller !== undefined) checkForOwner(caller, options)
    if (typeof name !== 'string') refuse(caller ?? 'resume', 'name', name, 'a string')
    if (faultOfRunName(name) !== undefined) return undefined
    const run = await this.store.find(this.settings.prefix + name)
    if (options.owner === undefined || run?.owner === undefined) return run
    return run.owner === ownerNamed(caller ?? 'resume', options.owner) ? run : undefined
  }

  protected report(cause: unknown): void {
    const error = cause instanceof Error ? cause : new Error('A run has failed.', { cause })
    if (this.events.listenerCount('error') > 0) this.tellListeners('error', error)
    else this.unheard(error)
  }

  /** An error for which nobody listens. */
  protected unheard(error: Error): void {
    process.emitWarning(error)
  }

  private async acquire(name: string, { owner }: StartOptions, resume: boolean) {
    if (this.isLeaving) throw new StreamerClosedError()
    const { settings, store, timers, ticker } = this
    const run = new ProducedRun(name, store, settings, timers, ticker, {
      ended: (ended, end) => this.ended(ended, end),
      paused: () => undefined,
      over: (over) => this.over(over),
      failed: (error) => this.report(error),
    })
    const answer = await store.acquire({
      key: settings.prefix + name,
      id: newId(),
      owner: owner === undefined ? undefined : ownerNamed('start', owner),
      resume,
      limits: settings.limits,
      keep: settings.keep,
      maxPause: settings.maxPause,
      holder: run,
    })
    return { run, answer }
  }

  private begin(
    run: ProducedRun,
    lease: Parameters<ProducedRun['begin']>[0],
    produce: Produce,
  ): Started {
    this.producing.add(run)
    run.begin(lease, produce)
    return { id: lease.id, name: run.name, started: true }
  }

  private ended(run: ProducedRun, end: RunEnd): void {
    if (this.events.listenerCount('end') === 0) return
    void this.tellEnd(run, end).catch((error: unknown) => this.report(error))
  }

  private async tellEnd(run: ProducedRun, end: RunEnd): Promise<void> {
    const feed = await this.store.feed(run.id)
    const all = feed === undefined ? [] : [...feed.log.after(0)]
    this.tellListeners('end', {
      ...readEnd(end),
      id: run.id,
      name: run.name,
      owner: run.owner,
      text: all.map(({ text }) => text).join(''),
      parts: all.map((part) => ({ event: part.event, data: valueOf(part) })),
    })
  }

  private tellListeners<Name extends keyof ProducerEvents>(
    event: Name,
    ...details: ProducerEvents[Name]
  ): void {
    const failed = (cause: unknown) => {
      const error = new Error(`A listener of the runs' '${event}' event failed.`, { cause })
      if (event === 'error') this.unheard(error)
      else this.report(error)
    }
    for (const listener of this.events.rawListeners(event)) {
      try {
        const result: unknown = listener.apply(this, details)
        if (isThenable(result)) safely(() => result.then(undefined, failed))
      } catch (cause) {
        failed(cause)
      }
    }
  }

  private over(run: ProducedRun): void {
    this.producing.delete(run)
    if (this.producing.size > 0) return
    for (const resolve of this.idle.splice(0)) resolve()
  }
}

/** The function is the last argument, with options before it or without. */
function argumentsOf(caller: string, given: StartOptions | Produce, last: Produce | undefined) {
  const isLast = typeof given === 'function' && last === undefined
  const [options, produce] = isLast ? [{}, given] : [given as StartOptions, last]
  checkStartOptions(caller, options)
  if (typeof produce !== 'function') {
    refuse(caller, 'its last argument', produce, 'a function that produces the run')
  }
  return { options, produce }
}

function howOf(run: RunRecord | GoneRecord | undefined): string {
  if (run === undefined || run.state === 'expired' || run.end === undefined) return 'expired'
  return howEnded(run.end)
}

const ID_LENGTH = 16
const LETTERS = 'abcdefghijklmnopqrstuvwxyz012345'

/** 80 random bits. */
function newId(): string {
  return [...randomBytes(ID_LENGTH)].map((byte) => LETTERS[byte & 31]).join('')
}
