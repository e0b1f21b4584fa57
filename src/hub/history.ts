import type { HubTopic } from './topic.js'
import type { Payload } from '../driver.js'
import { entryPacket, kindOf, messagePacket } from './packets.js'

/** An entry of the hub's log. */
export interface HubEntry {
  readonly number: number
  readonly topic: HubTopic
  /** As it is sent to every worker: an entry, a gap or a failure. */
  readonly packet: Buffer
  /** What it is: see `KIND`. */
  readonly kind: number
  /** When it was kept, in the time of `performance.now`. */
  readonly at: number
}

/** What an entry takes beside its packet, in bytes: the object, its place, the buffer's own. */
const OVERHEAD = 200

/** The log of a hub: one order over all topics, within bounds. */
export class HubHistory {
  #entries: HubEntry[] = []
  /** Where the oldest entry stands. What was let go before it is cut off now and then. */
  #head = 0
  #bytes = 0
  #last = 0
  #evictedThrough = 0

  /** @param bounds Bytes, and milliseconds. */
  constructor(private readonly bounds: { maxBytes: number; maxAge: number }) {}

  /** The number that was taken last. */
  get last(): number {
    return this.#last
  }

  /** The number of the newest entry that was let go. */
  get evictedThrough(): number {
    return this.#evictedThrough
  }

  /** The bytes that it takes. */
  get bytes(): number {
    return this.#bytes
  }

  /** How many entries it has. */
  get length(): number {
    return this.#entries.length - this.#head
  }

  /** Takes a number for what is no entry. */
  takeNumber(): number {
    return ++this.#last
  }

  /** Keeps a message. */
  message(topic: HubTopic, payload: Payload): void {
    const number = ++this.#last
    this.#keep(topic, number, messagePacket(number, topic.id, payload))
  }

  /** Keeps a gap, or a failure. */
  append(topic: HubTopic, kind: number, reason: string): void {
    const number = ++this.#last
    this.#keep(topic, number, entryPacket(kind, number, topic.id, reason))
  }

  #keep(topic: HubTopic, number: number, packet: Buffer): void {
    const kind = kindOf(packet)
    const at = performance.now()
    this.#entries.push({ number, topic, packet, kind, at })
    this.#bytes += packet.length + OVERHEAD
    this.trim(at)
  }

  /** Lets go of what is above the bounds. */
  trim(now = performance.now()): void {
    const { maxBytes, maxAge } = this.bounds
    for (;;) {
      const oldest = this.#entries[this.#head]
      if (oldest === undefined) break
      if (this.#bytes <= maxBytes && now - oldest.at <= maxAge) break
      this.#head++
      this.#bytes -= oldest.packet.length + OVERHEAD
      this.#evictedThrough = oldest.topic.evictedThrough = oldest.number
    }
    if (this.#head > 1_024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
  }

  /** The entries after one number and through another. */
  *after(number: number, through = Infinity): Generator<HubEntry> {
    for (let index = this.#indexAfter(number); index < this.#entries.length; index++) {
      const entry = this.#entries[index]!
      if (entry.number > through) return
      yield entry
    }
  }

  #indexAfter(number: number): number {
    let [from, to] = [this.#head, this.#entries.length]
    while (from < to) {
      const middle = (from + to) >>> 1
      if (this.#entries[middle]!.number > number) to = middle
      else from = middle + 1
    }
    return from
  }
}
