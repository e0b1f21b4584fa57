import type { SourceEvents } from '../../driver-kit/index.js'
import type { Call } from './epoch.js'
import { numberOf } from './number.js'
import { compareIds, judge, START } from './position.js'
import type { Place, StreamInfo, Verdict } from './position.js'

/** One entry of a stream. */
export interface RedisStreamMessage {
  stream: string
  /** The entry's id in its stream, such as `1700000000000-0`. */
  id: string
  /** Its fields. Where a name comes twice, the last one counts. */
  fields: Readonly<Record<string, Buffer>>
}

/** An entry as it comes in a reply. */
export type Entry = [id: Buffer, fields: Buffer[]]

/** What a stream is to those who read it as the log of a driver. */
export interface LogEvents {
  /** The key that holds its epoch. */
  readonly key: string
  /**
   * Finds out the epoch to go by.
   *
   * @param found What the key holds.
   * @param last The last id of the stream.
   * @param isAnew Whether it is known that the stream is another one than was read.
   */
  settle(call: Call, found: string | undefined, last: string, isAnew: boolean): Promise<string>
  /** From now on, entries are of this epoch and come after this id. */
  begin(epoch: string, id: string): void
  /** Everything through this id has been handed on, or told to be missing. */
  at(id: string): void
}

/** What becomes of a stream while it is read. */
export interface StreamEvents extends SourceEvents<RedisStreamMessage> {
  /** @param through The last number that may be missing. */
  gap(reason: string, through?: number): void
  readonly log?: LogEvents
}

/** What was seen of a stream. */
export interface Seen {
  readonly info: StreamInfo | undefined
  /** Of one that is a log. */
  readonly epoch?: string | undefined
}

/** One stream that is being read, and how far. */
export class OpenStream {
  #place: Place
  #epoch: string | undefined

  constructor(
    readonly name: string,
    private readonly events: StreamEvents,
    { info, epoch }: Seen,
  ) {
    this.#place = info ? { id: info.last, count: info.added } : START
    this.#epoch = epoch
    if (epoch !== undefined) events.log?.begin(epoch, this.#place.id)
  }

  get log(): LogEvents | undefined {
    return this.events.log
  }

  /** The id after which to read on. */
  get after(): string {
    return this.#place.id
  }

  /** Hands on what was read. */
  #read(entries: readonly Entry[]): void {
    for (const entry of entries) this.events.message(toMessage(this.name, entry))
    const last = entries.at(-1)
    if (last === undefined) return
    const { count } = this.#place
    this.#place = {
      id: String(last[0]),
      count: count === undefined ? undefined : count + entries.length,
    }
  }

  /** Whether the stream turns out to be another one than these entries were read from. */
  isAnew(entries: readonly Entry[], info: StreamInfo | undefined): boolean {
    return judge(this.#place, idsOf(entries), info).anew === true
  }

  /** Hands on what was read, with a gap in its place where the stream says that entries are missing. */
  verified(entries: readonly Entry[], { info, epoch }: Seen): void {
    const verdict = judge(this.#place, idsOf(entries), info)
    const { place, before, after, anew } = verdict
    // A new epoch tells everybody that messages are missing, so no gap is told with it.
    const isOther = epoch !== this.#epoch
    this.#epoch = epoch
    const begins = isOther && !(anew && after !== undefined)
    if (begins) this.#begin(this.#place.id)
    else if (before !== undefined) this.gap(before, throughBefore(this.#place, entries, info))
    this.#read(entries)
    if (isOther && !begins) this.#begin(place.id)
    else if (after !== undefined) this.gap(after, throughAfter(info, verdict))
    this.#place = place
    this.events.log?.at(place.id)
  }

  fail(error: Error): void {
    this.events.fail(error)
  }

  /** @param through The last number that may be missing. */
  gap(reason: string, through?: number): void {
    this.events.gap(`${this.name}: ${reason}`, through)
  }

  #begin(id: string): void {
    this.events.log?.begin(this.#epoch!, id)
  }
}

function idsOf(entries: readonly Entry[]): string[] {
  return entries.map(([id]) => String(id))
}

/** The last number that may be missing before, or among, the entries that were read. */
function throughBefore({ id }: Place, entries: readonly Entry[], info: StreamInfo | undefined) {
  const next = entries.length > 0 ? String(entries[0]![0]) : info?.first
  const isAhead = next !== undefined && compareIds(next, id) > 0
  const before = isAhead ? numberBelow(next) : numberOf(info?.last ?? id)
  const deleted = info?.deleted === undefined ? 0 : numberOf(info.deleted)
  return Math.max(before ?? 0, deleted ?? 0)
}

/** The last number that may be missing after the entries that were read. */
function throughAfter(info: StreamInfo | undefined, { place, anew }: Verdict): number | undefined {
  if (anew || info === undefined) return undefined
  const next = info.first !== undefined && compareIds(info.first, place.id) > 0
  return next ? numberBelow(info.first) : numberOf(info.last)
}

function numberBelow(id: string): number | undefined {
  const number = numberOf(id)
  return number === undefined ? undefined : number - 1
}

/** An entry as it is handed on. */
export function toMessage(stream: string, [id, list]: Entry): RedisStreamMessage {
  // Without a prototype, since a field may be called __proto__.
  const fields = Object.create(null) as Record<string, Buffer>
  for (let at = 0; at + 1 < list.length; at += 2) fields[String(list[at])] = list[at + 1] as Buffer
  return { stream, id: String(id), fields }
}
