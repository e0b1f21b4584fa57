import type { Frame } from '../wire/frame.js'
import type { Batch } from '../wire/frame.js'
import { BATCH_BYTES } from '../wire/frame.js'
import type { Client } from './client.js'
import type { Membership } from './membership.js'
import type { Place, Replays } from './replays.js'

/** What a client that is behind gets next. */
export type Step =
  /** Bytes to write; the cursor goes to `batch.last`. */
  | { kind: 'batch'; batch: Batch }
  /** Older frames of one topic, which leave the cursor where it is. */
  | { kind: 'replay'; membership: Membership; frames: readonly Frame[] }
  /** Something of this topic is missing here. */
  | { kind: 'lost'; topic: string }
  /** Nothing for now: the client is brought on again when what it lacks is at hand. */
  | { kind: 'wait' }

/**
 * The next step of a client on its way to the present, or undefined when it has arrived.
 *
 * First the replays, one after the other, then the losses, then frames in order of number over all its
 * topics. A loss is told before any frame that follows it in its topic.
 */
export function nextStep(client: Client, replays: Replays): Step | undefined {
  for (const membership of client.sources()) {
    const step = replayed(membership, client.cursor) ?? loss(membership, client.cursor)
    if (step !== undefined) return step
  }
  const batch = replays.next(placesOf(client))
  return batch && { kind: 'batch', batch }
}

/** Whether a client has missed something for good that it has not been told of. */
export function hasLoss(client: Client): boolean {
  return client.sources().some((membership) => membership.hasLoss(client.cursor))
}

/** The topics of which something has not been written to a client. */
export function unsent(client: Client): string[] {
  if (client.live) return []
  const behind = client.sources().filter((membership) => {
    const { history } = membership.topic
    const floor = membership.floor(client.cursor)
    const next = history.wanted(history.indexAfter(floor), false, membership.wants)
    const isBehind = floor < history.evictedThrough || history.at(next)
    return membership.replay !== undefined || isBehind
  })
  return [...new Set(behind.map(({ topic }) => topic.name))]
}

/** The loss that comes next in a topic, if there is one. */
export function loss(membership: Membership, cursor: number): Step | undefined {
  if (!membership.hasLoss(cursor)) return undefined
  membership.tellLoss(cursor)
  return { kind: 'lost', topic: membership.topic.name }
}

/** What comes next of a topic's replay, if there is anything. */
export function replayed(membership: Membership, cursor: number): Step | undefined {
  const { replay, topic } = membership
  if (replay === undefined) return undefined
  const { history } = topic
  const done = membership.replayedThrough(replay)
  if (done < history.lostThrough) {
    membership.tellLoss(cursor)
    return { kind: 'lost', topic: topic.name }
  }
  const through = membership.replaysThrough(replay)
  const { wants } = membership
  const frames: Frame[] = []
  let size = 0
  for (let i = history.indexAfter(done); size < BATCH_BYTES; i++) {
    const frame = history.at(i)
    if (frame === undefined || frame.number > through) break
    if (wants?.(frame) === false) continue
    frames.push(frame)
    size += frame.length
  }
  if (frames.length > 0) return { kind: 'replay', membership, frames }
  membership.endReplay(Math.max(through, done))
  return undefined
}

/** Where the client reads on in each of its topics that has something for it. */
export function placesOf(client: Client): Place[] {
  const places: Place[] = []
  for (const membership of client.sources()) {
    const topic = membership.topic.history
    const { conflates, wants } = membership
    const floor = membership.floor(client.cursor)
    const index = topic.wanted(topic.indexAfter(floor), conflates, wants)
    const frame = topic.at(index)
    if (frame !== undefined) places.push({ topic, index, number: frame.number, conflates, wants })
  }
  return places
}
