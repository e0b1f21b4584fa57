import type { Frame } from '../wire/frame.js'
import { Batch, BATCH_BYTES } from '../wire/frame.js'
import type { History, TopicHistory, Wants } from './history.js'

/** Where in a topic a client reads on. */
export interface Place {
  topic: TopicHistory
  /** Which of the topic's frames is next. */
  index: number
  /** That frame's number. */
  number: number
  /** Whether frames are skipped that have a newer one of their key. */
  conflates: boolean
  /** Which frames are sent, where a filter says so for this client. */
  wants: Wants | undefined
}

/** How many batches are kept for the clients that come next. */
const MOST_SHARED = 8

/**
 * What clients have missed, merged by number over their topics. Each batch is joined once for all
 * clients that read on at the same places: when a proxy restarts, thousands come back from there
 * at once.
 */
export class Replays {
  private readonly shared = new Map<number, { places: readonly Place[]; batch: Batch }>()
  private newest = 0

  constructor(private readonly history: History) {}

  /** The next batch for a client that reads on at these places, or undefined where there is none. */
  next(places: readonly Place[]): Batch | undefined {
    if (places.length === 0) return undefined
    if (places.some(({ wants }) => wants !== undefined)) return Batch.first(merge(places))
    if (this.newest !== this.history.changes) {
      this.newest = this.history.changes
      this.shared.clear()
    }
    const first = places.reduce((least, { number }) => Math.min(least, number), Infinity)
    const known = this.shared.get(first)
    if (known !== undefined && areSame(known.places, places)) return known.batch
    const batch = Batch.join(merge(places))[0]
    if (batch === undefined || batch.events === 1) return batch
    if (this.shared.size === MOST_SHARED) this.shared.clear()
    this.shared.set(first, { places, batch })
    return batch
  }
}

function areSame(some: readonly Place[], others: readonly Place[]): boolean {
  return some.length === others.length && some.every((place, i) => isSame(place, others[i]!))
}

function isSame(one: Place, other: Place): boolean {
  const isThere = one.topic === other.topic && one.number === other.number
  return isThere && one.conflates === other.conflates
}

/** The frames from these places on in order of number, up to one batch. */
function merge(places: readonly Place[]): Frame[] {
  const heap = places.map((place) => ({ ...place }))
  for (let i = (heap.length >> 1) - 1; i >= 0; i--) sink(heap, i)
  const frames: Frame[] = []
  for (let size = 0, place = heap[0]; place !== undefined; place = heap[0]) {
    const frame = place.topic.at(place.index)!
    size += frame.length
    const last = frames.at(-1)
    // Those of one number stay together: a cursor stands behind all of them or before.
    if (last !== undefined && size > BATCH_BYTES && frame.number !== last.number) break
    frames.push(frame)
    place.index = place.topic.wanted(place.index + 1, place.conflates, place.wants)
    const following = place.topic.at(place.index)
    if (following !== undefined) place.number = following.number
    else if (heap.length === 1) break
    else heap[0] = heap.pop()!
    sink(heap, 0)
  }
  return frames
}

/** Restores the heap's order where the place at `index` may be above its place. */
function sink(heap: Place[], index: number): void {
  const place = heap[index]!
  for (;;) {
    let below = 2 * index + 1
    if (below >= heap.length) break
    if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++
    if (!isBefore(heap[below]!, place)) break
    heap[index] = heap[below]!
    index = below
  }
  heap[index] = place
}

/** By number, and those of one entry of a log by topic. */
function isBefore(a: Place, b: Place): boolean {
  return a.number < b.number || (a.number === b.number && a.topic.name < b.topic.name)
}
