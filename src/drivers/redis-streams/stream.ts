import type { SourceEvents } from '../toolbox/sources.js'
import { judge, START } from './position.js'
import type { Place, StreamInfo } from './position.js'

/** One entry of a stream. */
export interface RedisStreamMessage {
  stream: string
  /** The entry's id in its stream, such as `1700000000000-0`. */
  id: string
  /** Its fields. Of a name that stands there twice, the last one. */
  fields: Readonly<Record<string, Buffer>>
}

/** An entry as it comes in a reply. */
export type Entry = [id: Buffer, fields: Buffer[]]

/** One stream that is being read, and how far. */
export class OpenStream {
  #place: Place
  /** How many entries it had when it was last looked at. */
  #length: number

  constructor(
    readonly name: string,
    private readonly events: SourceEvents<RedisStreamMessage>,
    info: StreamInfo | undefined,
  ) {
    this.#place = info ? { id: info.last, count: info.added } : START
    this.#length = info?.length ?? 0
  }

  /** The id after which to read on. */
  get after(): string {
    return this.#place.id
  }

  /**
   * Whether entries may have been trimmed away before these. That takes as many new ones as the
   * stream holds; with half of that, or as many as are read at once, it is time to look.
   */
  isSuspect(entries: readonly Entry[], most: number): boolean {
    return entries.length >= most || entries.length * 2 >= this.#length
  }

  /** Hands on what was read. */
  read(entries: readonly Entry[]): void {
    for (const entry of entries) this.#tell(() => this.events.message(toMessage(this.name, entry)))
    const last = entries.at(-1)
    if (last === undefined) return
    const { count } = this.#place
    this.#place = {
      id: String(last[0]),
      count: count === undefined ? undefined : count + entries.length,
    }
  }

  /** The same, with what the stream has said of itself since. */
  verified(entries: readonly Entry[], info: StreamInfo | undefined): void {
    const ids = entries.map(([id]) => String(id))
    const { place, before, after } = judge(this.#place, ids, info)
    if (before !== undefined) this.#tell(() => this.events.gap(`${this.name}: ${before}`))
    this.read(entries)
    if (after !== undefined) this.#tell(() => this.events.gap(`${this.name}: ${after}`))
    this.#place = place
    this.#length = info?.length ?? 0
  }

  fail(error: Error): void {
    this.#tell(() => this.events.fail(error))
  }

  /** An error here would stop the reading of all streams. */
  #tell(call: () => void): void {
    try {
      call()
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error))
    }
  }
}

function toMessage(stream: string, [id, list]: Entry): RedisStreamMessage {
  // Without a prototype: a field may have any name.
  const fields = Object.create(null) as Record<string, Buffer>
  for (let at = 0; at + 1 < list.length; at += 2) fields[String(list[at])] = list[at + 1] as Buffer
  return { stream, id: String(id), fields }
}
