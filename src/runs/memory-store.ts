import { Timers, systemClock } from '../clock.js'
import type { Clock, Timer } from '../clock.js'
import { NoRunError, TooManyRunsError } from './errors.js'
import { RunFeed } from './feed.js'
import type { RunEnd } from './ending.js'
import type { Acquire, GoneRecord, Lease, LeaseHolder, RunRecord, RunStore } from './store.js'
import { PAUSED_TOO_LONG } from './store.js'

/** How many runs are remembered that are no longer kept, so that their readers get 410. */
const REMEMBERED = 10_000

/** One run, with its parts. */
interface Kept {
  readonly id: string
  readonly key: string
  readonly owner: string | undefined
  readonly keep: number
  readonly maxPause: number
  readonly startedAt: number
  readonly feed: RunFeed
  readonly inbox: string[]
  /** How many messages of the inbox a producer has got. */
  taken: number
  state: RunRecord['state']
  term: number
  endedAt: number | undefined
  holder: LeaseHolder | undefined
  /** Ends the pause. */
  pauseTimer: Timer | undefined
}

/** Keeps runs in this process. */
export class MemoryStore implements RunStore {
  readonly maxDelay = 0
  private readonly timers: Timers
  private readonly runs = new Map<string, Kept>()
  /** The newest run of each name. */
  private readonly names = new Map<string, Kept>()
  /** By name and by id. The oldest stand first. */
  private readonly gone = new Map<string, GoneRecord>()
  /** How many runs of each owner have not ended; undefined for those of nobody. */
  private readonly running = new Map<string | undefined, number>()
  private total = 0

  constructor(clock: Clock = systemClock) {
    this.timers = new Timers(clock)
  }

  acquire(ask: Acquire): { lease: Lease } | { found: RunRecord | GoneRecord } | undefined {
    const old = this.names.get(ask.key)
    if (old !== undefined && old.owner !== ask.owner) throw new NoRunError()
    if (ask.resume) return this.takeUp(old, ask)
    if (old !== undefined && old.state !== 'ended') return { found: recordOf(old) }
    this.checkRoom(ask)
    const run: Kept = {
      id: ask.id,
      key: ask.key,
      owner: ask.owner,
      keep: ask.keep,
      maxPause: ask.maxPause,
      startedAt: Date.now(),
      feed: new RunFeed(ask.id, (readers) => run.holder?.readers(readers)),
      inbox: [],
      taken: 0,
      state: 'running',
      term: 1,
      endedAt: undefined,
      holder: ask.holder,
      pauseTimer: undefined,
    }
    this.runs.set(run.id, run)
    this.names.set(run.key, run)
    this.gone.delete(`name ${run.key}`)
    this.count(run.owner, 1)
    return { lease: leaseOf(run) }
  }

  append(lease: Lease, batch: Buffer): boolean {
    const run = this.held(lease)
    run?.feed.append(batch)
    return run !== undefined
  }

  waiting(lease: Lease, isWaiting: boolean): void {
    const run = this.held(lease)
    if (run === undefined || run.state === 'stopping') return
    run.state = isWaiting ? 'waiting' : 'running'
  }

  end(lease: Lease, end: RunEnd): boolean {
    const run = this.held(lease)
    if (run === undefined) return false
    this.finish(run, end)
    return true
  }

  pause(lease: Lease, unread: number): boolean {
    const run = this.held(lease)
    if (run === undefined) return false
    if (run.state === 'stopping') this.finish(run, { kind: 'stopped' })
    else {
      run.state = 'paused'
      if (run.maxPause < Infinity) {
        const tooLong = () => this.finish(run, PAUSED_TOO_LONG)
        run.pauseTimer = this.timers.after(run.maxPause, tooLong)
      }
    }
    run.holder = undefined
    run.taken -= unread
    return true
  }

  find(key: string): RunRecord | GoneRecord | undefined {
    const run = this.names.get(key)
    return run === undefined ? this.gone.get(`name ${key}`) : recordOf(run)
  }

  get(id: string): RunRecord | GoneRecord | undefined {
    const run = this.runs.get(id)
    return run === undefined ? this.gone.get(`id ${id}`) : recordOf(run)
  }

  stop(id: string): RunRecord['state'] | undefined {
    const run = this.runs.get(id)
    if (run === undefined) return undefined
    const before = run.state
    if (before === 'paused') this.finish(run, { kind: 'stopped' })
    else if (before !== 'ended') {
      run.state = 'stopping'
      run.holder?.stop()
    }
    return before
  }

  tell(id: string, message: string): number | undefined {
    const run = this.runs.get(id)
    if (run === undefined || run.state === 'ended') return undefined
    const number = run.inbox.push(message)
    this.handOver(run)
    return number
  }

  list(prefix: string, owner: string): readonly RunRecord[] {
    return [...this.runs.values()]
      .filter((run) => run.owner === owner && run.key.startsWith(prefix))
      .map(recordOf)
  }

  feed(id: string): RunFeed | undefined {
    return this.runs.get(id)?.feed
  }

  close(): void {
    this.timers.stop()
    for (const { feed } of this.runs.values()) feed.close()
    this.runs.clear()
    this.names.clear()
  }

  private takeUp(
    run: Kept | undefined,
    ask: Acquire,
  ): { lease: Lease } | { found: RunRecord | GoneRecord } {
    const gone = this.gone.get(`name ${ask.key}`)
    if (run === undefined) {
      if (gone !== undefined && gone.owner === ask.owner) return { found: gone }
      throw new NoRunError()
    }
    if (run.state !== 'paused') return { found: recordOf(run) }
    this.timers.cancel(run.pauseTimer)
    run.state = 'running'
    run.term++
    run.holder = ask.holder
    // The producer makes itself ready first.
    queueMicrotask(() => this.handOver(run))
    return { lease: leaseOf(run) }
  }

  private handOver(run: Kept): void {
    for (; run.holder !== undefined && run.taken < run.inbox.length; run.taken++) {
      run.holder.told(run.inbox[run.taken]!)
    }
  }

  private held({ id, term }: Lease): Kept | undefined {
    const run = this.runs.get(id)
    return run?.term === term && run.state !== 'ended' && run.state !== 'paused' ? run : undefined
  }

  private finish(run: Kept, end: RunEnd): void {
    this.timers.cancel(run.pauseTimer)
    run.state = 'ended'
    run.endedAt = Date.now()
    run.holder = undefined
    run.inbox.length = 0
    this.count(run.owner, -1)
    run.feed.finish(end)
    if (run.keep < Infinity) this.timers.after(run.keep, () => this.forget(run))
  }

  private forget(run: Kept): void {
    this.runs.delete(run.id)
    const record: GoneRecord = { state: 'expired', owner: run.owner }
    this.remember(`id ${run.id}`, record)
    if (this.names.get(run.key) !== run) return
    this.names.delete(run.key)
    this.remember(`name ${run.key}`, record)
  }

  private remember(key: string, record: GoneRecord): void {
    this.gone.delete(key)
    this.gone.set(key, record)
    if (this.gone.size <= 2 * REMEMBERED) return
    const [oldest] = this.gone.keys()
    if (oldest !== undefined) this.gone.delete(oldest)
  }

  private checkRoom({ owner, limits: { maxRuns, maxRunsPerOwner } }: Acquire): void {
    if (this.total >= maxRuns) throw new TooManyRunsError('maxRuns', maxRuns)
    if (owner !== undefined && (this.running.get(owner) ?? 0) >= maxRunsPerOwner) {
      throw new TooManyRunsError('maxRunsPerOwner', maxRunsPerOwner)
    }
  }

  private count(owner: string | undefined, change: number): void {
    this.total += change
    const count = (this.running.get(owner) ?? 0) + change
    if (count === 0) this.running.delete(owner)
    else this.running.set(owner, count)
  }
}

function leaseOf({ id, key, owner, term, feed }: Kept): Lease {
  return { id, key, owner, term, parts: feed.log.count, bytes: feed.log.payload }
}

function recordOf(run: Kept): RunRecord {
  const { id, key, owner, state, term, startedAt, endedAt, feed } = run
  const { count: parts, payload: bytes } = feed.log
  const { end, readers } = feed
  return { id, key, owner, state, term, parts, bytes, startedAt, endedAt, end, readers }
}
