import type { Client } from './client.js'
import type { Frame } from './frame.js'
import { Batch, BATCH_BYTES } from './frame.js'
import type { Membership } from './membership.js'
import type { Place, Replays } from './merge.js'

/** What a client that is behind gets next. */
export type Step =
  /** Bytes to write; `batch.last` moves the cursor, where it is above 0. */
  | { kind: 'batch'; batch: Batch }
  /** Something of this topic is missing here. */
  | { kind: 'lost'; topic: string }

/**
 * The next step of a client on its way to the present, or undefined when it has arrived.
 *
 * First what a `rewind` asked for, then the losses, then frames in order of number over all its
 * topics. A loss is told before any frame that follows it in its topic.
 */
export function nextStep(client: Client, replays: Replays): Step | undefined {
  for (const membership of client.readable()) {
    const step = rewound(membership, client.cursor) ?? loss(membership, client.cursor)
    if (step !== undefined) return step
  }
  const batch = replays.next(placesOf(client))
  return batch && { kind: 'batch', batch }
}

/** Whether a client whose cursor is at `cursor` has missed something for good. */
export function hasLoss(client: Client): boolean {
  for (const membership of client.readable()) {
    if (membership.floor(client.cursor) < membership.topic.log.evictedThrough) return true
  }
  return false
}

function loss(membership: Membership, cursor: number): Step | undefined {
  const lost = membership.floor(cursor) < membership.topic.log.evictedThrough
  return lost ? tellLoss(membership, cursor) : undefined
}

function tellLoss(membership: Membership, cursor: number): Step {
  membership.told = { at: cursor, through: membership.topic.log.evictedThrough }
  return { kind: 'lost', topic: membership.topic.name }
}

function rewound(membership: Membership, cursor: number): Step | undefined {
  const { rewind, since, topic } = membership
  if (rewind === undefined) return undefined
  const log = topic.log
  if (rewind.exact && Math.max(rewind.from, membership.told?.through ?? 0) < log.evictedThrough) {
    return tellLoss(membership, cursor)
  }
  // Frames that are newer than the cursor need no special way: they are merged, with their ids.
  const through = Math.min(since, cursor)
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
