import type { HubHistory } from './history.js'
import { entryPacket, KIND, markPacket, partPacket } from './packets.js'
import type { Peer } from './peer.js'
import { SENT } from './peer.js'
import type { HubTopic } from './topic.js'
import type { HubTopics } from './topics.js'

/** About how many bytes go to a worker in one write, and are read again in one part. */
const BATCH = 256 * 1024

const LOST = 'This worker was so far behind that the hub no longer has what it lacks.'

/**
 * A worker that reads the hub's log. It has a cursor in the history and nothing else: what it has not
 * taken yet costs the hub no memory of its own, however slow it is.
 */
export class LogMember {
  /** The worker has everything through this number. */
  #cursor: number
  /** The topics that it has open, each with the number after which it gets them. */
  readonly #topics = new Map<HubTopic, number>()
  #isGone = false

  constructor(
    private readonly peer: Peer,
    private readonly history: HubHistory,
    private readonly topics: HubTopics,
  ) {
    this.#cursor = history.last
  }

  /**
   * A worker that was here before goes on from what it has.
   *
   * @returns for each of the names the topic's number, or 0 where it was not kept open.
   */
  resume(cursor: number, names: readonly string[]): number[] {
    this.#cursor = Math.min(cursor, this.history.last)
    return names.map((name) => {
      const topic = this.topics.get(name)
      if (topic === undefined || cursor < topic.openedAt) return 0
      this.topics.join(topic)
      this.#topics.set(topic, cursor)
      return topic.id
    })
  }

  /** @returns the topic's number, and after which number the worker gets it. */
  async open(name: string): Promise<{ topic: number; position: number }> {
    const topic = await this.topics.open(name)
    if (this.#isGone || this.#topics.has(topic)) this.topics.leave(topic)
    const position = this.history.last
    if (!this.#isGone) this.#topics.set(topic, position)
    // So that the worker's own position is not before the topic's opening.
    this.flush()
    return { topic: topic.id, position }
  }

  close(id: number): void {
    for (const topic of this.#topics.keys()) if (topic.id === id) this.#leave(topic)
  }

  /** Sends what is new, as far as the socket takes it. */
  flush(): void {
    while (!this.#isGone && this.#cursor < this.history.last && !this.peer.isFull) {
      this.peer.send(this.#batch())
    }
  }

  /** Reads a part of the log again, and sends it. */
  read(call: number, names: readonly string[], after: number, through: number): typeof SENT {
    const asked = names.map((name) => this.topics.get(name))
    const packets: Buffer[] = []
    const wanted = new Set<HubTopic>()
    for (const topic of asked) {
      if (topic === undefined) continue
      wanted.add(topic)
      const lost = Math.min(topic.lostAfter(after), through)
      if (lost > after) packets.push(entryPacket(KIND.gap, lost, topic.id, LOST))
    }
    let size = 0
    let last = through
    for (const entry of this.history.after(after, through)) {
      if (size >= BATCH) {
        last = entry.number - 1
        break
      }
      if (!wanted.has(entry.topic) || entry.kind === KIND.fail) continue
      packets.push(entry.packet)
      size += entry.packet.length
    }
    const topics = asked.map((topic) => topic?.id ?? 0)
    this.peer.send(partPacket({ call, through: last, topics, packets: Buffer.concat(packets) }))
    return SENT
  }

  /** The connection is gone. */
  end(): void {
    this.#isGone = true
    for (const topic of this.#topics.keys()) this.#leave(topic)
  }

  /** The next bytes for the worker. The cursor moves on. */
  #batch(): Buffer {
    const packets: Buffer[] = []
    for (const [topic, since] of this.#topics) {
      const from = Math.max(this.#cursor, since)
      if (from >= topic.evictedThrough) continue
      packets.push(entryPacket(KIND.gap, topic.evictedThrough, topic.id, LOST))
    }
    this.#cursor = Math.max(this.#cursor, this.history.evictedThrough)
    let size = 0
    let isDone = true
    for (const entry of this.history.after(this.#cursor)) {
      if (size >= BATCH) {
        isDone = false
        break
      }
      this.#cursor = entry.number
      const since = this.#topics.get(entry.topic)
      if (since === undefined || entry.number <= since) continue
      packets.push(entry.packet)
      size += entry.packet.length
      if (entry.kind === KIND.fail) this.#leave(entry.topic)
    }
    if (isDone) this.#cursor = this.history.last
    packets.push(markPacket(this.#cursor))
    return Buffer.concat(packets)
  }

  #leave(topic: HubTopic): void {
    this.#topics.delete(topic)
    this.topics.leave(topic)
  }
}
