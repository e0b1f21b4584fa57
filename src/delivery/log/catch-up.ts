import { Batch, Frame } from '../../wire/frame.js'
import type { Step } from '../catch-up.js'
import { loss, placesOf, replayed } from '../catch-up.js'
import type { Client } from '../client.js'
import type { Replay } from '../membership.js'
import type { Replays } from '../replays.js'
import type { LogMembership } from './membership.js'
import type { LogSegment } from './segment.js'

/** What a client of a driver's log gets next. */
export type LogStep =
  | Step
  /** It has everything through this number, and what is next has to be read from the log. */
  | { kind: 'absent'; through: number }

/** Every subscription to a topic of a driver with a log is one of these. */
export function logSources(client: Client): LogMembership[] {
  return client.sources() as LogMembership[]
}

/**
 * The next step of a client on its way to the present, or undefined when it has arrived. As
 * `nextStep` of a history alone, with what is read again from the log where the history has let it
 * go.
 *
 * @param segment What was read from the log for clients that lack it.
 */
export function nextLogStep(
  client: Client,
  replays: Replays,
  segment?: LogSegment,
): LogStep | undefined {
  let limit = Infinity
  for (const membership of logSources(client)) {
    if (membership.awaits) return { kind: 'wait' }
    const step = stepOf(membership, client.cursor, segment)
    if (step !== undefined) return step
    limit = Math.min(limit, knownThrough(membership, client.cursor, segment))
  }
  const absent = segment === undefined ? limit < Infinity : limit <= client.cursor
  if (absent) return { kind: 'absent', through: 0 }
  const batch =
    segment === undefined ? replays.next(placesOf(client)) : mergeWith(segment, client, limit)
  if (batch !== undefined) return { kind: 'batch', batch }
  return limit < Infinity ? { kind: 'absent', through: limit } : undefined
}

/** Between which numbers a client lacks something that has to be read from the log. */
export function lacking(client: Client): { after: number; through: number } | undefined {
  let after = Infinity
  let through = 0
  for (const membership of logSources(client)) {
    const from = membership.lacksAfter(client.cursor)
    if (from === undefined) continue
    after = Math.min(after, from)
    through = Math.max(through, membership.topic.history.evictedThrough)
  }
  return after === Infinity ? undefined : { after, through }
}

function stepOf(
  membership: LogMembership,
  cursor: number,
  segment?: LogSegment,
): LogStep | undefined {
  const { replay } = membership
  return (
    (replay && replayedFromLog(membership, replay, cursor, segment)) ??
    replayed(membership, cursor) ??
    lossIn(membership, membership.floor(cursor), cursor, segment) ??
    loss(membership, cursor)
  )
}

/** What comes next of a replay that the history no longer has. */
function replayedFromLog(
  membership: LogMembership,
  replay: Replay,
  cursor: number,
  segment?: LogSegment,
): LogStep | undefined {
  const { history, name } = membership.topic
  const absent = Math.min(membership.replaysThrough(replay), history.evictedThrough)
  for (;;) {
    const done = membership.replayedThrough(replay)
    if (done < history.lostThrough || done >= absent) return undefined
    const lost = lossIn(membership, done, cursor, segment)
    if (lost !== undefined) return lost
    if (segment?.covers(name, done) !== true) return { kind: 'absent', through: 0 }
    const frames = segment.some(membership, done, absent)
    if (frames.length > 0) return { kind: 'replay', membership, frames }
    replay.through = Math.min(segment.through, absent)
  }
}

/** The loss that a segment begins with, for a client that has everything through `done`. */
function lossIn(
  membership: LogMembership,
  done: number,
  cursor: number,
  segment?: LogSegment,
): LogStep | undefined {
  if (segment === undefined || done < segment.after) return undefined
  const { history, name } = membership.topic
  const through = Math.min(segment.lostThrough(name), history.evictedThrough)
  if (done >= through) return undefined
  membership.tellLoss(cursor, through)
  return { kind: 'lost', topic: name }
}

/** Through which number all that a client gets of a topic is at hand. */
function knownThrough(membership: LogMembership, cursor: number, segment?: LogSegment): number {
  const { evictedThrough } = membership.topic.history
  const floor = membership.floor(cursor)
  if (floor >= evictedThrough) return Infinity
  if (segment?.covers(membership.topic.name, floor) !== true) return floor
  return evictedThrough <= segment.through ? Infinity : segment.through
}

/** The next batch through `limit`, with what a segment has. */
function mergeWith(segment: LogSegment, client: Client, limit: number): Batch | undefined {
  const frames = logSources(client).flatMap((membership) =>
    segment.next(membership, membership.floor(client.cursor), limit),
  )
  return Batch.first(frames.sort(Frame.compare))
}
