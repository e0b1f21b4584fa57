import type { Streamer } from '../index.js'
import { BodyError } from '../index.js'
import type { Run, Runs, StartOptions } from '../runs/index.js'
import { NoRunError, PartError, runs } from '../runs/index.js'
import type { Config } from './config/schema.js'
import { compilePattern } from './pattern.js'
import { RunTermError } from './run-errors.js'
import type { SentPart } from './run-parts.js'

/** A run whose producer is on the other side of HTTP. */
export interface HeldRun {
  readonly run: Run
  /** What its producer shows with each request. */
  readonly term: string
  /** The producer is done. */
  readonly finish: (data?: unknown) => void
  /** The producer has failed. */
  readonly fail: (error: Error) => void
}

/** The runs of a server, and those of their producers that are elsewhere. */
export class RunDesk {
  readonly runs: Runs
  readonly maxBytes: number
  private readonly held = new Map<string, HeldRun>()
  private readonly isOurs: (name: string) => boolean

  constructor(streamer: Streamer, config: NonNullable<Config['runs']>, drainOver: number) {
    const { match, keep, maxBytes } = config
    const pattern = compilePattern(match)
    this.isOurs = (name) => pattern.matches(name.split('.'))
    this.maxBytes = maxBytes
    this.runs = runs(streamer, { keep, maxBytes, drain: { producers: drainOver } })
  }

  /** @throws NoRunError if the server has no runs of such names. */
  checkName(name: string): void {
    if (!this.isOurs(name)) throw new NoRunError()
  }

  /** Starts a run that goes on until it is told otherwise. Undefined: another one goes on. */
  async start(name: string, options: StartOptions): Promise<HeldRun | undefined> {
    let made: ((run: HeldRun) => void) | undefined
    const begun = new Promise<HeldRun>((resolve) => (made = resolve))
    const { started } = await this.runs.start(name, options, (run) =>
      new Promise((resolve, reject) => {
        const held = { run, term: `${run.id}-${run.term}`, finish: resolve, fail: reject }
        this.held.set(name, held)
        // What ended by itself, such as for want of parts, waits for nobody.
        const over = () => run.signal.reason !== 'stopped' && resolve(undefined)
        run.signal.addEventListener('abort', over)
        made!(held)
      }).finally(() => {
        if (this.held.get(name)?.run.id === run.id) this.held.delete(name)
      }),
    )
    return started ? begun : undefined
  }

  /** @throws RunTermError */
  heldBy(name: string, term: unknown): HeldRun {
    const held = this.held.get(name)
    if (held === undefined || held.term !== term) throw new RunTermError()
    return held
  }
}

/** How a run ends whose producer says that it is over: a stop that came before counts. */
export function endedAs({ run: { signal } }: HeldRun, kind: 'done' | 'failed'): object {
  if (!signal.aborted) return { kind }
  return signal.reason === 'stopped'
    ? { kind: 'stopped' }
    : { kind: 'failed', code: String(signal.reason) }
}

/**
 * Adds parts to a run, and waits until they are in its store.
 *
 * @returns the last one's number. @throws BodyError, RunEndedError
 */
export async function appendAll({ run }: HeldRun, parts: readonly SentPart[]): Promise<number> {
  let number = 0
  for (const { data, ...options } of parts) {
    try {
      number = run.append(data, options)
    } catch (error) {
      if (error instanceof PartError) throw new BodyError(error.message, { cause: error })
      throw error
    }
  }
  await run.flushed()
  return number
}
