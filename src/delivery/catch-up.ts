import type { Client } from './client.js'
import { Batch, BATCH_BYTES, Frame } from '../wire/frame.js'
import type { Membership } from './membership.js'
import type { Place, Replays } from './replays.js'
import type { LogSegment } from './log-segment.js'

/** What a client that is behind gets next. */
export type Step =
  /** Bytes to write; `batch.last` moves the cursor, where it is above 0. */
  | { kind: 'batch'; batch: Batch }
  /** Something of this topic is missing here. */
  | { kind: 'lost'; topic: string }
  /** It has everything through this number, and what is next has to be read from the log. */
  | { kind: 'absent'; through: number }
  /** A topic has to be opened first. */
  | { kind: 'unopened' }

/**
 * The next step of a client on its way to the present, or undefined when it has arrived.
 *
 * First what a `rewind` asked for, then the losses, then frames in order of number over all its
 * topics. A loss is told before any frame that follows it in its topic.
 *
 * @param window What was read from the log for those who lack something that the history let go.
 */
export function nextStep(client: Client, replays: Replays, window?: LogSegment): Step | undefined {
  let limit = Infinity
  for (const membership of client.readable()) {
    if (membership.awaits) return { kind: 'unopened' }
    const step =
      rewound(membership, client.cursor, window) ?? loss(membership, client.cursor, window)
    if (step !== undefined) return step
    limit = Math.min(limit, knownThrough(membership, client.cursor, window))
  }
  const absent = window === undefined ? limit < Infinity : limit <= client.cursor
  if (absent) return { kind: 'absent', through: 0 }
  const batch =
    window === undefined ? replays.next(placesOf(client)) : mergeWith(window, client, limit)
  if (batch !== undefined) return { kind: 'batch', batch }
  return limit < Infinity ? { kind: 'absent', through: limit } : undefined
}

/** Whether a client whose cursor is at `cursor` has missed something for good. */
export function hasLoss(client: Client): boolean {
  for (const membership of client.readable()) {
    if (membership.floor(client.cursor) < membership.topic.log.lostThrough) return true
  }
  return false
}

/** Between which numbers a client lacks something that has to be read from the log. */
export function lacking(client: Client): { after: number; through: number } | undefined {
  let after = Infinity
  let through = 0
  for (const membership of client.readable()) {
    const from = membership.lacksAfter(client.cursor)
    if (from === undefined) continue
    after = Math.min(after, from)
    through = Math.max(through, membership.topic.log.evictedThrough)
  }
  return after === Infinity ? undefined : { after, through }
}

/** Through which number all that a client gets of a topic is at hand. */
function knownThrough(membership: Membership, cursor: number, window?: LogSegment): number {
  const { evictedThrough } = membership.topic.log
  const floor = membership.floor(cursor)
  if (floor >= evictedThrough) return Infinity
  if (window?.covers(membership.topic.name, floor) !== true) return floor
  return evictedThrough <= window.through ? Infinity : window.through
}

function loss(membership: Membership, cursor: number, window?: LogSegment): Step | undefined {
  const { log } = membership.topic
  const floor = membership.floor(cursor)
  if (window !== undefined && floor < log.evictedThrough) log.lose(window.lostThrough)
  return membership.misses || floor < log.lostThrough ? tellLoss(membership, cursor) : undefined
}

function tellLoss(membership: Membership, cursor: number): Step {
  const { misses, topic } = membership
  membership.told = { at: cursor, through: topic.log.lostThrough }
  if (misses) membership.missesToldAt = cursor
  membership.misses = false
  return { kind: 'lost', topic: topic.name }
}

function rewound(membership: Membership, cursor: number, window?: LogSegment): Step | undefined {
  const { rewind, since, topic } = membership
  if (rewind === undefined) return undefined
  const log = topic.log
  // Frames that are newer than the cursor need no special way: they are merged, with their ids.
  const through = Math.min(since, cursor)
  if (rewind.exact) {
    const from = Math.max(rewind.from, membership.told?.through ?? 0)
    if (window !== undefined && from < log.evictedThrough) log.lose(window.lostThrough)
    if (from < log.lostThrough) return tellLoss(membership, cursor)
    const absent = Math.min(through, log.evictedThrough)
    if (from < absent) {
      if (window?.covers(topic.name, from) !== true) return { kind: 'absent', through: 0 }
      const frames = window.some(topic.name, from, absent)
      rewind.from = frames.at(-1)?.number ?? Math.min(window.through, absent)
      if (frames.length > 0) return { kind: 'batch', batch: Batch.withoutIds(frames) }
      return rewound(membership, cursor, window)
    }
  }
  const frames: Frame[] = []
  let size = 0
  for (let i = log.indexAfter(rewind.from); size < BATCH_BYTES; i++) {
    const frame = log.at(i)
    if (frame === undefined || frame.number > through) break
    frames.push(frame)
    size += frame.length
  }
  if (frames.length > 0) {
    rewind.from = frames.at(-1)!.number
    return { kind: 'batch', batch: Batch.withoutIds(frames) }
  }
  membership.rewind = undefined
  // What a rewind by count no longer finds is not a loss.
  const forgiven = rewind.exact ? 0 : Math.min(since, log.evictedThrough)
  membership.since = Math.max(through, rewind.from, forgiven)
  return undefined
}

/** Where the client reads on in each of its topics that has something for it. */
function placesOf(client: Client): Place[] {
  const places: Place[] = []
  for (const membership of client.readable()) {
    const log = membership.topic.log
    const index = log.indexAfter(membership.floor(client.cursor))
    const frame = log.at(index)
    if (frame !== undefined) places.push({ log, index, number: frame.number })
  }
  return places
}

/** The next batch through `limit`, with what a window has. */
function mergeWith(window: LogSegment, client: Client, limit: number): Batch | undefined {
  const frames = client
    .readable()
    .flatMap((membership) => window.next(membership, membership.floor(client.cursor), limit))
  return Batch.first(frames.sort(Frame.compare))
}
