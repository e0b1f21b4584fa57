/** Where a reader stands in a stream: the last id it has read, and how many entries there were by then. */
export interface Place {
  readonly id: string
  /** Undefined where Redis does not count: before version 7. */
  readonly count: number | undefined
}

/** Where a stream begins. */
export const START: Place = { id: '0-0', count: 0 }

/** What XINFO STREAM tells of a stream. */
export interface StreamInfo {
  /** The highest id that it has given. */
  readonly last: string
  /** How many entries it has. */
  readonly length: number
  /** How many it has ever been given. Undefined before version 7 of Redis. */
  readonly added: number | undefined
  /** The id of the oldest entry that it still has. */
  readonly first: string | undefined
  /** The id of the newest one; it may have been deleted, and be below `last`. */
  readonly final?: string | undefined
  /** The highest id that XDEL has deleted. Undefined where none was, and before version 7. */
  readonly deleted?: string | undefined
}

/** What a look at a stream says about the entries that have just been read from it. */
export interface Verdict {
  /** Where the reader stands after them. */
  readonly place: Place
  /** Why some before them may be missing. */
  readonly before?: string
  /** Why some after them may be missing. */
  readonly after?: string
  /** Whether the stream was made anew, or went back to an older state. */
  readonly anew?: true
}

/** Orders two ids, `milliseconds-sequence`. Both parts have up to 64 bits, too many for a number. */
export function compareIds(a: string, b: string): number {
  const [[a1 = '', a2 = ''], [b1 = '', b2 = '']] = [a.split('-'), b.split('-')]
  return compareDigits(a1, b1) || compareDigits(a2, b2)
}

function compareDigits(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : a > b ? 1 : 0
}

/**
 * Compares what was read with what the stream says of itself, to find out what is missing.
 *
 * Redis trims the oldest entries first. So nothing is missing while the stream still has an entry that
 * the reader had read before. When it has none, the counts tell. An example: the reader stands at the
 * 10th entry of the stream; 50 were added so far, and 36 are left. The oldest of these is the
 * 50 - 36 + 1 = 15th, so the four from the 11th to the 14th are missing.
 *
 * @param from Where the reader stood before it read `ids`.
 * @param ids The ids it has read since, in order.
 * @param info What the stream said later than that; undefined when it was not there.
 */
export function judge(from: Place, ids: readonly string[], info: StreamInfo | undefined): Verdict {
  const id = ids.at(-1) ?? from.id
  const count = from.count === undefined ? undefined : from.count + ids.length
  if (info === undefined) {
    if (id === START.id) return { place: START }
    const after = 'The stream was deleted.'
    // Whether it was trimmed before what was just read, nobody can say any more.
    return ids.length > 0
      ? { place: START, before: after, after, anew: true }
      : { place: START, after, anew: true }
  }
  const { last, length, added, first, final } = info
  // It was made anew, or went back to an older state. A reader that stays at its id would miss what
  // is added below that id; one that starts over would read entries twice. So it goes to the end.
  if (compareIds(last, id) < 0) {
    const after = 'The stream has ids older than before.'
    return { place: { id: last, count: added }, after, anew: true }
  }
  const kept = first !== undefined && compareIds(first, from.id) <= 0
  // All entries after these are gone, so no read will bring one up to the stream's last id.
  const isOver = length === 0 || (final !== undefined && compareIds(final, id) <= 0)
  if (added === undefined || count === undefined || from.count === undefined) {
    const place = { id: isOver ? last : id, count: last === id || isOver ? added : undefined }
    if (kept || from.id === START.id || last === from.id) return { place }
    return { place, before: 'The stream was trimmed past the last entry that was read.' }
  }
  const read = first === undefined ? 0 : ids.filter((it) => !isBelow(it, first)).length
  const trimmed = ids.length - read
  const ordinal = added - length + 1
  // By the counts the oldest entry that is left has been read, and by its id it has not. An example: the
  // reader stands at the 3rd entry, and the stream has its 1st to 600th, all of them newer than that.
  const contradicts = first !== undefined && !kept && ordinal <= from.count + trimmed
  if (added < count || contradicts) {
    const before = 'The stream was made anew.'
    const place = { id, count: last === id ? added : added - length + read }
    // What was just read may be of the stream before, and more of that may be missing behind it.
    const isOld = read === 0 && ids.length > 0
    return isOld ? { place, before, after: before, anew: true } : { place, before, anew: true }
  }
  if (last === id && added !== count) {
    return { place: { id, count: added }, before: missing(added - count) }
  }
  if (isOver && added !== count) {
    const before = missing(added - count)
    const place = { id: last, count: added }
    return ids.length > 0 ? { place, before, after: before } : { place, before }
  }
  if (kept || last === id) return { place: { id: isOver ? last : id, count } }
  const lost = ordinal - (from.count + trimmed + 1)
  if (lost <= 0) return { place: { id, count } }
  const place = { id, count: count + lost }
  // All that was just read is trimmed already, so the missing ones may lie before or after it.
  const unsure = trimmed === ids.length && ids.length > 0
  return unsure
    ? { place, before: missing(lost), after: missing(lost) }
    : { place, before: missing(lost) }
}

function isBelow(id: string, first: string): boolean {
  return compareIds(id, first) < 0
}

function missing(count: number): string {
  return `${count} entries of the stream were gone before they were read.`
}

/** The reply to XINFO STREAM, a list of names and values. */
export function parseInfo(reply: unknown): StreamInfo {
  const list = reply as unknown[]
  const values = new Map<string, unknown>()
  for (let at = 0; at + 1 < list.length; at += 2) values.set(String(list[at]), list[at + 1])
  const idOf = (name: string) => {
    const entry = values.get(name) as [id: Buffer] | null | undefined
    return entry ? String(entry[0]) : undefined
  }
  const added = values.get('entries-added')
  const deleted = values.get('max-deleted-entry-id') as Buffer | undefined
  return {
    last: String(values.get('last-generated-id')),
    length: Number(values.get('length')),
    added: added === undefined ? undefined : Number(added),
    first: idOf('first-entry'),
    final: idOf('last-entry'),
    deleted: deleted === undefined || String(deleted) === START.id ? undefined : String(deleted),
  }
}
