import { lacking, logSources } from './catch-up.js'
import type { Client } from '../client.js'
import type { Timers } from '../../clock.js'
import type { Payload } from '../../driver.js'
import type { Log } from '../../log.js'
import type { Encoded } from '../../wire/encode.js'
import { BATCH_BYTES, Frame } from '../../wire/frame.js'
import { LogSegment } from './segment.js'

/** What reading the log for clients takes of the delivery. */
export interface LogReplayHost {
  /** An entry of the log as it is sent, with a `tie` where it goes to several topics. */
  encodeEntry(topic: string, payload: Payload, number: number, tie: boolean): Encoded
  /** Whether an entry is the last one of its topic. */
  endsWith(topic: string, payload: Payload): boolean
  /** An entry as the filter of its topic is given it; undefined where there is none. */
  filteredEntry(topic: string, payload: Payload): string | Uint8Array | undefined
  flush(): void
  /** Brings a client on, with what was read where there is something. */
  catchUp(client: Client, segment?: LogSegment): void
  /** The log could not be read. */
  replayFailed(error: unknown): void
}

/** How many passes over the log run at once. Clients that ask meanwhile share the next one. */
const MOST_PASSES = 4
/** How many bytes of the log one pass has in memory, unless one entry is larger. */
const SEGMENT_BYTES = 8 * BATCH_BYTES
/** How often in a row reading may fail before the missing entries count as lost. */
const MOST_FAILURES = 5
/** The pause before a failed read is tried again, in milliseconds. */
const RETRY_AFTER = 1_000

/**
 * Reads the driver's log for clients that are behind what the history has. The log is read in
 * segments, each of which goes to all waiting clients. A client whose connection is full leaves, and
 * asks again from its cursor when it has drained. So the memory is that of a segment, however many
 * clients wait and however far they are behind.
 */
export class LogReplay {
  private readonly waiting = new Set<Client>()
  private running = 0
  private failures = 0
  private life = 0
  private starting: NodeJS.Immediate | undefined

  constructor(
    private readonly log: Log,
    private readonly timers: Timers,
    private readonly host: LogReplayHost,
  ) {}

  /** Queues a client until the entries that it lacks are read from the log. */
  ask(client: Client): void {
    this.waiting.add(client)
    this.startSoon()
  }

  /** Forgets all waiting clients. A pass that is under way gives nothing to anybody. */
  reset(): void {
    this.life++
    this.waiting.clear()
    this.failures = 0
  }

  private startSoon(): void {
    // Clients that ask in one tick share a pass.
    this.starting ??= setImmediate(() => {
      this.starting = undefined
      if (this.running < MOST_PASSES && this.waiting.size > 0) void this.run()
    })
  }

  private async run(): Promise<void> {
    const { life } = this
    const group = new Set(this.waiting)
    this.waiting.clear()
    this.running++
    try {
      await this.pass(group)
      this.failures = 0
    } catch (error) {
      if (life === this.life) await this.fail(group, error)
    }
    this.running--
    if (life === this.life) for (const client of group) this.host.catchUp(client)
    if (this.waiting.size > 0) this.startSoon()
  }

  /** Reads once over all entries that the clients lack, and writes them as they come. */
  private async pass(group: Set<Client>): Promise<void> {
    const { life } = this
    const range = rangeOf(group)
    if (range === undefined) return
    const { topics, after, through } = range
    const last = Math.floor(through)
    if (!(await this.log.reach(last))) throw new Error(`The log did not come to ${last}.`)
    this.host.flush()
    let part = new Part(after)
    const ended = new Set<string>()
    for await (const entry of this.log.read(topics, Math.floor(after), last)) {
      if (life !== this.life) return
      if ('lostThrough' in entry) {
        // What was read before it is sent before it is told.
        if (part.size > 0) {
          this.give(group, part.segment(topics, part.last))
          if (group.size === 0) return
          part = new Part(part.last)
        }
        // An entry whose number does not rise is lost right behind the one before it.
        part.lose(entry.topics ?? topics, Math.max(entry.lostThrough, part.last + 0.5))
        continue
      }
      if (part.size >= SEGMENT_BYTES) {
        this.give(group, part.segment(topics, part.last))
        if (group.size === 0) return
        part = new Part(part.last)
      }
      const { number, payload, topics: names } = entry
      for (const [index, name] of names.entries()) {
        const own = isList(payload) ? payload[index]! : payload
        if (ended.has(name)) continue
        const encoded = this.host.encodeEntry(name, own, number, names.length > 1)
        part.add(name, number, encoded, this.host.filteredEntry(name, own))
        if (this.host.endsWith(name, own)) ended.add(name)
      }
    }
    if (life === this.life) this.give(group, part.segment(topics, through))
  }

  /** Writes a segment to the clients. Keeps those in the group that lack more and take more. */
  private give(group: Set<Client>, segment: LogSegment): void {
    for (const client of group) {
      this.host.catchUp(client, segment)
      const { connection } = client
      if (client.live || connection === undefined || connection.full) group.delete(client)
    }
  }

  private async fail(group: Set<Client>, error: unknown): Promise<void> {
    this.host.replayFailed(error)
    if (++this.failures < MOST_FAILURES) {
      await new Promise<void>((resolve) => this.timers.after(RETRY_AFTER, resolve))
      return
    }
    for (const client of group) {
      for (const membership of logSources(client)) {
        if (membership.lacksAfter(client.cursor) !== undefined)
          membership.topic.history.lose(Infinity)
      }
    }
  }
}

/** Which entries a group of clients lacks together. */
function rangeOf(group: ReadonlySet<Client>) {
  const topics = new Set<string>()
  let [after, through] = [Infinity, 0]
  for (const client of group) {
    const range = client.connection && lacking(client)
    if (range === undefined) continue
    after = Math.min(after, range.after)
    through = Math.max(through, range.through)
    // All of its topics: an entry that goes to several of them says so in its position.
    for (const { topic } of client.sources()) topics.add(topic.name)
  }
  return topics.size === 0 ? undefined : { topics: [...topics], after, through }
}

/** A segment that is being read. */
class Part {
  /** The number of the last entry. */
  last: number
  size = 0
  private readonly frames = new Map<string, Frame[]>()
  /** Through which number entries are lost, by topic. */
  private readonly lost = new Map<string, number>()

  constructor(private readonly after: number) {
    this.last = after
  }

  lose(names: readonly string[], through: number): void {
    for (const name of names) this.lost.set(name, Math.max(this.lost.get(name) ?? 0, through))
  }

  add(name: string, number: number, encoded: Encoded, message?: string | Uint8Array): void {
    let frames = this.frames.get(name)
    if (frames === undefined) this.frames.set(name, (frames = []))
    const frame = new Frame(number, encoded, 0, { name, length: 0, shift: () => undefined })
    frame.message = message
    frames.push(frame)
    this.size += frame.cost
    this.last = number
  }

  segment(topics: readonly string[], through: number): LogSegment {
    for (const name of topics) if (!this.frames.has(name)) this.frames.set(name, [])
    return new LogSegment(this.after, through, this.lost, this.frames)
  }
}

function isList(payload: Payload | readonly Payload[]): payload is readonly Payload[] {
  return Array.isArray(payload)
}
