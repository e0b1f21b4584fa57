import type { Client } from './client.js'
import type { Frame } from '../wire/frame.js'
import type { Topic } from './topic.js'
import { TickBatch } from './tick-batch.js'

/**
 * What has arrived and has not yet been given to those who keep up. Everything of one turn of
 * the event loop goes out as one write per client.
 */
export class Broadcast {
  /** Everybody who keeps up has been given everything through this number. */
  delivered = 0
  /** Events handed to connections, counted once for each client. */
  sent = 0
  private newest = 0
  private topics: Topic[] = []
  private scheduled: NodeJS.Immediate | undefined

  /** Takes a new frame; it goes out at the end of the turn at the latest. */
  add(topic: Topic, frame: Frame): void {
    this.newest = frame.number
    if (topic.fresh.push(frame) === 1) this.topics.push(topic)
    // Not a microtask: brokers' libraries hand over the messages of one packet in several.
    this.scheduled ??= setImmediate(() => {
      this.scheduled = undefined
      this.flush()
    })
  }

  /** Writes now. */
  flush(): void {
    if (this.topics.length === 0) return
    const topics = this.topics
    const before = this.delivered
    this.topics = []
    this.delivered = this.newest
    for (const client of this.address(topics)) {
      const turn = client.tick!
      client.tick = undefined
      client.deliver(turn.batches(), before)
      this.sent += turn.size
    }
  }

  /** There is nothing for anybody through this number any more. */
  advance(number: number): void {
    this.newest = number
    this.delivered = number
  }

  /** Hands each client that keeps up the part of the turn that is its own. */
  private address(topics: readonly Topic[]): Client[] {
    const clients: Client[] = []
    for (const topic of topics) {
      const frames = topic.fresh
      topic.fresh = []
      const root = new TickBatch(frames)
      for (const client of topic.audience) {
        if (!client.live) continue
        if (client.tick === undefined) {
          client.tick = root
          clients.push(client)
        } else {
          client.tick = client.tick.with(topic, frames)
        }
      }
    }
    return clients
  }
}
