import type { Clock } from '../clock.js'
import type { CrossSiteOptions } from '../http/cross-site.js'
import { originsCheck } from '../http/cross-site.js'
import type { OptionCheck, OptionTable } from '../option-checks.js'
import {
  callback,
  checkOptions,
  count,
  flag,
  given,
  methods,
  number,
  oneOf,
  shape,
} from '../option-checks.js'
import type { OwnerName } from '../service/owner.js'
import { ownerNameOf } from '../service/owner.js'
import type { RunStore } from './store.js'

/**
 * Makes one part of several, for readers that come late. It gets the parts as they were appended, all
 * under one event's name. Undefined leaves them as they are.
 */
export type Fold = (parts: readonly unknown[]) => unknown

/** How a run's stream is written: see `docs/ai-answers.md`. */
export type FormatName = 'default' | 'ai-sdk'

/** Options of `runs`. Each may be left out. Durations are in milliseconds. */
export interface RunsOptions extends ProducerOptions {
  /** Where runs are kept. Default: the memory of this process. */
  store?: RunStore
  /** How streams are written where a route does not say otherwise. Default: `default`. */
  format?: FormatName
  /** Joins parts for readers that come late. Default: none; each part is sent as it was appended. */
  fold?: Fold
  /**
   * After how long a response is cut off whose reader has bytes waiting and takes none. It can go on
   * where it was. Default: 30,000.
   */
  slowReaderTimeout?: number
}

/** Options of `producer`. Each may be left out. Durations are in milliseconds. */
export interface ProducerOptions {
  /** What the names of these runs begin with in the store. Default: none. */
  prefix?: string
  /** For how long a run is kept after its end. 0: not at all. Default: 600,000. */
  keep?: number
  /** The most bytes that one run's parts may have, without overhead. Default: 4 MiB. Infinity: no limit. */
  maxBytes?: number
  /** How many runs may go on at once in one store. Default: 10,000. */
  maxRuns?: number
  /** How many runs of one owner may go on at once. Default: 100. */
  maxRunsPerOwner?: number
  /**
   * After how long without a part a run ends as `failed` with `idle`. `run.wait` puts it off.
   * Default: 300,000. Infinity: never.
   */
  maxIdle?: number
  /** After how long a run ends as `failed` with `too-long`. Default: 3,600,000. Infinity: never. */
  maxAge?: number
  /**
   * After how long without a reader on any server a run is given up: its `signal` aborts with the
   * reason `nobody`, and it ends as `failed` with `nobody`. Default: Infinity, never.
   */
  abandonAfter?: number
  /**
   * After how long a run that has paused ends as `failed` with `paused-too-long`. Default:
   * 604,800,000, which is 7 days. Infinity: never.
   */
  maxPause?: number
  /** How long a producer may take to settle after a stop. It then counts as failed. Default: 10,000. */
  settle?: number
  batch?: {
    /** For how long parts are gathered before they are written. Default: 0 in memory, 20 in a log. */
    maxDelay?: number
  }
  drain?: {
    /** How long producers may go on when the server drains. Default: 30,000. */
    producers?: number
  }
  /** The clock and its timers, for tests. Default: the system's. */
  clock?: Clock
}

/** Options of `start` and `resume`. */
export interface StartOptions {
  /** Who owns the run: only this user's requests may read it. Default: nobody, so everyone may. */
  owner?: OwnerName
  /** What to do where a run of this name goes on. Default: `attach`, which starts none. */
  onRunning?: 'attach' | 'refuse'
}

/** For whom a call is made. */
export interface ForOwner {
  /** Only a run of this owner counts. Default: any run, since the call comes from the application. */
  owner?: OwnerName
}

/** Options of one route, or of one `send`. */
export interface RouteOptions<FrameworkRequest = unknown> extends CrossSiteOptions {
  /** How the stream is written. Default: the option of `runs`. */
  format?: FormatName
  /**
   * What a request without a position gets of a run that has ended: the run (`stream`), or 204
   * (`empty`), for pages that have the answer from where you have stored it. Default: `stream`.
   */
  ended?: 'stream' | 'empty'
  /**
   * The user who sends a request. Default: what the framework's log-in has found: `req.auth` or
   * `req.user` with Express, `ctx.state.user` with Koa.
   */
  principal?: (request: FrameworkRequest) => unknown
  /** Whether a user may read a run that is not theirs. Only `true` allows it. Default: nobody may. */
  authorize?: (
    principal: unknown,
    name: string,
    asked: { owner: string; request: FrameworkRequest },
  ) => boolean | Promise<boolean>
}

const duration = number(0, Infinity)
const ownerCheck = given([
  (value) => ownerNameOf(value) !== undefined && !((value as number) < 0),
  'the name of an owner, or a principal with sub or id',
])

const FORMAT = oneOf('default', 'ai-sdk')

const PRODUCER_OPTIONS = {
  prefix: [(value) => typeof value === 'string', 'a string'],
  keep: duration,
  maxBytes: count(1),
  maxRuns: count(1),
  maxRunsPerOwner: count(1),
  maxIdle: duration,
  maxAge: duration,
  abandonAfter: duration,
  maxPause: duration,
  settle: duration,
  batch: shape({ maxDelay: number(0, 60_000) }),
  drain: shape({ producers: duration }),
  clock: methods('now', 'setTimeout', 'clearTimeout'),
} satisfies Record<keyof ProducerOptions, OptionCheck>

const RUNS_OPTIONS: OptionTable = {
  ...PRODUCER_OPTIONS,
  store: methods('acquire', 'append', 'end', 'find', 'feed'),
  format: FORMAT,
  fold: callback('a function from several parts to one'),
  slowReaderTimeout: number(1, 2 ** 31 - 1),
} satisfies Record<keyof RunsOptions, OptionCheck>

const START_OPTIONS = {
  owner: ownerCheck,
  onRunning: oneOf('attach', 'refuse'),
} satisfies Record<keyof StartOptions, OptionCheck>

const ROUTE_OPTIONS = {
  format: FORMAT,
  ended: oneOf('stream', 'empty'),
  principal: given(callback('a function from a request to its user')),
  authorize: given(callback('a function from a user and a name to true or false')),
  origins: originsCheck,
} satisfies Record<keyof RouteOptions, OptionCheck>

/** @throws OptionsError */
export function checkProducerOptions(caller: string, options: unknown): void {
  checkOptions(caller, options, PRODUCER_OPTIONS)
}

/** @throws OptionsError */
export function checkRunsOptions(options: unknown): void {
  checkOptions('runs', options, RUNS_OPTIONS)
}

/** @throws OptionsError */
export function checkStartOptions(caller: string, options: unknown): void {
  checkOptions(caller, options, START_OPTIONS)
}

/** @throws OptionsError */
export function checkForOwner(caller: string, options: unknown): void {
  checkOptions(caller, options, { owner: ownerCheck })
}

/** @throws OptionsError */
export function checkReadOptions(options: unknown): void {
  checkOptions('read', options, {
    owner: ownerCheck,
    from: [(value) => typeof value === 'string' && value !== '', "'start', or the id of a part"],
    signal: [(value) => value instanceof AbortSignal, 'an AbortSignal'],
  })
}

/** @throws OptionsError */
export function checkRouteOptions(caller: string, options: unknown): void {
  checkOptions(caller, options, ROUTE_OPTIONS)
}

const APPEND_OPTIONS = {
  event: [() => true, "an event's name"],
  transient: flag,
} satisfies OptionTable

/** @throws OptionsError */
export function checkAppendOptions(options: unknown): void {
  checkOptions('append', options, APPEND_OPTIONS)
}

/** The options of a producer, with defaults. */
export interface ProducerSettings {
  readonly prefix: string
  readonly keep: number
  readonly maxBytes: number
  readonly limits: { readonly maxRuns: number; readonly maxRunsPerOwner: number }
  readonly maxIdle: number
  readonly maxAge: number
  readonly abandonAfter: number
  readonly maxPause: number
  readonly settle: number
  readonly maxDelay: number
  readonly drainProducers: number
}

export function producerSettings(options: ProducerOptions, store: RunStore): ProducerSettings {
  return {
    prefix: options.prefix ?? '',
    keep: options.keep ?? 600_000,
    maxBytes: options.maxBytes ?? 4 * 2 ** 20,
    limits: {
      maxRuns: options.maxRuns ?? 10_000,
      maxRunsPerOwner: options.maxRunsPerOwner ?? 100,
    },
    maxIdle: options.maxIdle ?? 300_000,
    maxAge: options.maxAge ?? 3_600_000,
    abandonAfter: options.abandonAfter ?? Infinity,
    maxPause: options.maxPause ?? 604_800_000,
    settle: options.settle ?? 10_000,
    maxDelay: options.batch?.maxDelay ?? store.maxDelay,
    drainProducers: options.drain?.producers ?? 30_000,
  }
}
