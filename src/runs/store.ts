import type { RunEnd } from './ending.js'
import type { RunFeed } from './feed.js'

/** How a run ends that was paused for too long. */
export const PAUSED_TOO_LONG: RunEnd = {
  kind: 'failed',
  code: 'paused-too-long',
  message: 'It was paused, and nobody went on with it (maxPause).',
}

/** What a store knows of a run. */
export interface RunRecord {
  readonly id: string
  /** The run's name, with the prefix before it. */
  readonly key: string
  readonly owner: string | undefined
  readonly state: 'running' | 'waiting' | 'stopping' | 'paused' | 'ended'
  /** Which producer has it: 1 for the first, one more after each `resume`. */
  readonly term: number
  readonly parts: number
  readonly bytes: number
  /** Milliseconds since 1970. */
  readonly startedAt: number
  readonly endedAt: number | undefined
  readonly end: RunEnd | undefined
  readonly readers: number
}

/** What is left of a run that is no longer kept. */
export interface GoneRecord {
  readonly state: 'expired'
  readonly owner: string | undefined
}

/** The right to append to a run. It is lost when another producer has a later term. */
export interface Lease {
  readonly id: string
  readonly key: string
  readonly owner: string | undefined
  readonly term: number
  /** What was appended under earlier terms. */
  readonly parts: number
  readonly bytes: number
}

/** The producer's side of a lease, which the store calls. None of these may throw. */
export interface LeaseHolder {
  /** The run is to be stopped. */
  stop(): void
  /** A message for the run's inbox, as JSON. Each comes once, in order. */
  told(message: string): void
  /** How many readers there are on all servers. */
  readers(count: number): void
  /** Nothing can be appended any more: the run belongs to another producer, or has ended. */
  lost(): void
}

export interface Acquire {
  readonly key: string
  /** The id that a new run is to have. */
  readonly id: string
  readonly owner: string | undefined
  /** Whether a paused run is taken up, and no new one is begun. */
  readonly resume: boolean
  readonly limits: { readonly maxRuns: number; readonly maxRunsPerOwner: number }
  /** For how long the run is kept after its end, in milliseconds. */
  readonly keep: number
  /** For how long it may pause before it ends as failed, in milliseconds. */
  readonly maxPause: number
  readonly holder: LeaseHolder
}

/**
 * Where runs are kept: their parts, who produces them, whether they are to stop, what they are told.
 * Each of the answers may be given at once or as a promise.
 */
export interface RunStore {
  /** For how long parts are gathered before they are appended, by default, in milliseconds. */
  readonly maxDelay: number
  /**
   * Begins a run, or takes a paused one up. One caller in all gets the lease.
   *
   * @returns the lease, or the run that is there and was not taken, or undefined where `resume` finds
   *   none.
   * @throws TooManyRunsError, NoRunError for a run of another owner, RunStoreError.
   */
  acquire(ask: Acquire): Answer<{ lease: Lease } | { found: RunRecord | GoneRecord } | undefined>
  /** Appends a batch. @returns whether the lease still held. */
  append(lease: Lease, batch: Buffer, kept: number): Answer<boolean>
  /** Notes whether the producer waits for a person. */
  waiting(lease: Lease, isWaiting: boolean): Answer<void>
  /** @returns whether the lease still held. */
  end(lease: Lease, end: RunEnd): Answer<boolean>
  /**
   * Gives the lease back without an end.
   *
   * @param unread How many messages the producer was told and has not read.
   * @returns whether the lease still held.
   */
  pause(lease: Lease, unread: number): Answer<boolean>
  /** The newest run of a name. */
  find(key: string): Answer<RunRecord | GoneRecord | undefined>
  /** A run by its id. */
  get(id: string): Answer<RunRecord | GoneRecord | undefined>
  /** Asks for a run's stop. @returns what it was before. */
  stop(id: string): Answer<RunRecord['state'] | undefined>
  /** @returns the message's number, or undefined if the run has ended. */
  tell(id: string, message: string): Answer<number | undefined>
  /** The runs of an owner that are kept, of all whose name begins with `prefix`. */
  list(prefix: string, owner: string): Answer<readonly RunRecord[]>
  /** The parts of a run as they come, shared by its readers here. Undefined if it is not kept. */
  feed(id: string): Answer<RunFeed | undefined>
  close(): Answer<void>
}

type Answer<T> = T | Promise<T>
