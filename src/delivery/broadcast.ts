import type { Timer, Timers } from '../clock.js'
import type { Client } from './client.js'
import type { Frame } from '../wire/frame.js'
import type { Timings } from './timings.js'
import type { Topic } from './topic.js'
import { TickBatch } from './tick-batch.js'

/**
 * Frames that have arrived and are not written to the live clients yet. All frames of one tick of
 * the event loop go out as one write per client; those of a topic with a delay wait for more.
 *
 * An example: in one tick, frames 8 and 9 arrive for topic `a` and frame 10 for topic `b`. At the
 * tick's end a client of both is written one batch of three, a client of `a` one of two, and
 * `delivered` goes from 7 to 10.
 */
export class Broadcast {
  /** Every live client has been given everything through this number. */
  delivered = 0
  /** Events handed to connections, counted once for each client. */
  sent = 0
  private newest = 0
  private topics: Topic[] = []
  private scheduled: NodeJS.Immediate | undefined
  /** When the first of the frames that wait has waited long enough, by the clock. */
  private due = Infinity
  private waiting: Timer | undefined
  private readonly write = (): void => {
    this.scheduled = undefined
    this.flush()
  }

  constructor(
    private readonly timers: Timers,
    private readonly timings: Timings,
  ) {}

  /** Takes a new frame, which is written at the end of the tick, or of its topic's delay, at the latest. */
  add(topic: Topic, frame: Frame): void {
    this.newest = frame.number
    if (topic.fresh.push(frame) === 1) {
      if (this.topics.push(topic) === 1) this.timings.begin()
      if (topic.delay > 0) this.writeWithin(topic.delay)
    }
    // A microtask would be too early: libraries hand over one packet's messages in several of them.
    if (topic.delay === 0) this.scheduled ??= setImmediate(this.write)
  }

  /** Writes what has arrived, now. */
  flush(): void {
    if (this.topics.length === 0) return
    if (this.due < Infinity) {
      this.timers.cancel(this.waiting)
      this.due = Infinity
    }
    const topics = this.topics
    const before = this.delivered
    this.topics = []
    this.delivered = this.newest
    for (const client of this.address(topics)) {
      const { tick } = client
      client.tick = undefined
      client.deliver(tick!.batches(), before)
      this.sent += tick!.size
    }
    this.timings.end()
  }

  /** Nothing is left to write through this number. */
  advance(number: number): void {
    this.newest = number
    this.delivered = number
  }

  private writeWithin(delay: number): void {
    const due = this.timers.clock.now() + delay
    if (due >= this.due) return
    this.timers.cancel(this.waiting)
    this.due = due
    this.waiting = this.timers.after(delay, this.write)
  }

  /** Gives each live client the part of the tick that is its own. */
  private address(topics: readonly Topic[]): Client[] {
    const clients: Client[] = []
    for (const topic of topics) {
      const frames = topic.fresh
      topic.fresh = []
      if (topic.keeping?.filters === true) {
        addressSome(topic, frames, clients)
        continue
      }
      const root = new TickBatch(frames)
      for (const client of topic.audience) {
        if (!client.live) continue
        if (client.tick === undefined) {
          client.tick = root
          clients.push(client)
        } else {
          client.tick = client.tick.with(frames)
        }
      }
    }
    return clients
  }
}

/** Gives each live client those frames of a topic that the topic's filter lets it have. */
function addressSome(topic: Topic, frames: readonly Frame[], clients: Client[]): void {
  const parts = new Map<string, { frames: readonly Frame[]; root: TickBatch }>()
  for (const { client, wants } of [...topic.members]) {
    if (!client.live) continue
    const wanted = frames.filter((frame) => wants?.(frame) !== false)
    if (wanted.length === 0 || !client.live) continue
    const key = wanted.map(({ number }) => number).join(' ')
    const part = parts.get(key) ?? { frames: wanted, root: new TickBatch(wanted) }
    parts.set(key, part)
    if (client.tick === undefined) clients.push(client)
    client.tick = client.tick?.with(part.frames) ?? part.root
  }
}
