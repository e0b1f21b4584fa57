import type { Frame } from '../wire/frame.js'
import { Batch, BATCH_BYTES } from '../wire/frame.js'
import type { Client } from './client.js'
import type { Membership } from './membership.js'
import type { Place, Replays } from './replays.js'

/** What a client that is behind gets next. */
export type Step =
  /** Bytes to write; `batch.last` moves the cursor, where it is above 0. */
  | { kind: 'batch'; batch: Batch }
  /** Something of this topic is missing here. */
  | { kind: 'lost'; topic: string }
  /** Nothing for now: the client is brought on again when what it lacks is at hand. */
  | { kind: 'wait' }

/**
 * The next step of a client on its way to the present, or undefined when it has arrived.
 *
 * First what a `rewind` asked for, then the losses, then frames in order of number over all its
 * topics. A loss is told before any frame that follows it in its topic.
 */
export function nextStep(client: Client, replays: Replays): Step | undefined {
  for (const membership of client.sources()) {
    const step = rewound(membership, client.cursor) ?? loss(membership, client.cursor)
    if (step !== undefined) return step
  }
  const batch = replays.next(placesOf(client))
  return batch && { kind: 'batch', batch }
}

/** Whether a client has missed something for good that it has not been told of. */
export function hasLoss(client: Client): boolean {
  return client.sources().some((membership) => membership.hasLoss(client.cursor))
}

/** The loss that comes next in a topic, if there is one. */
export function loss(membership: Membership, cursor: number): Step | undefined {
  if (!membership.hasLoss(cursor)) return undefined
  membership.tellLoss(cursor)
  return { kind: 'lost', topic: membership.topic.name }
}

/** What comes next of a topic's older frames that were asked for, if there is anything. */
export function rewound(membership: Membership, cursor: number): Step | undefined {
  const { rewind, since, topic } = membership
  if (rewind === undefined) return undefined
  const { history } = topic
  if (rewind.exact && membership.rewoundThrough(rewind) < history.lostThrough) {
    membership.tellLoss(cursor)
    return { kind: 'lost', topic: topic.name }
  }
  // Frames that are newer than the cursor need no special way: they are merged, with their ids.
  const through = Math.min(since, cursor)
  const frames: Frame[] = []
  let size = 0
  for (let i = history.indexAfter(rewind.from); size < BATCH_BYTES; i++) {
    const frame = history.at(i)
    if (frame === undefined || frame.number > through) break
    frames.push(frame)
    size += frame.length
  }
  if (frames.length > 0) {
    rewind.from = frames.at(-1)!.number
    return { kind: 'batch', batch: Batch.withoutIds(frames) }
  }
  // What a rewind by count no longer finds is not a loss.
  const forgiven = rewind.exact ? 0 : Math.min(since, history.evictedThrough)
  membership.endRewind(Math.max(through, rewind.from, forgiven))
  return undefined
}

/** Where the client reads on in each of its topics that has something for it. */
export function placesOf(client: Client): Place[] {
  const places: Place[] = []
  for (const membership of client.sources()) {
    const topic = membership.topic.history
    const index = topic.indexAfter(membership.floor(client.cursor))
    const frame = topic.at(index)
    if (frame !== undefined) places.push({ topic, index, number: frame.number })
  }
  return places
}
