import type { LogEntry } from '../../log.js'
import type { Call } from './epoch.js'
import { look } from './look.js'
import { highestId, lowestIdAfter, nextId, numberOf } from './number.js'
import type { StreamInfo } from './position.js'
import type { Routes } from './routes.js'
import { toMessage } from './stream.js'
import type { Entry, RedisStreamMessage } from './stream.js'

/** How many entries are read at once, at first and at most. */
const [FIRST, MOST] = [32, 512]

/** Larger answers than this, in bytes, are made smaller. */
const CHUNK_BYTES = 1024 * 1024

/** A part of a stream to read again. */
export interface ReplaySettings {
  readonly stream: string
  readonly key: string
  readonly epoch: string | undefined
  readonly routes: Routes
  readonly topics: readonly string[]
  readonly after: number
  readonly through: number
}

/** Reads a part of a stream once more, a chunk at a time. */
export async function* replay(call: Call, settings: ReplaySettings): AsyncGenerator<LogEntry> {
  const { stream, key, epoch, after, through } = settings
  const wanted = new Set(settings.topics)
  const end = highestId(through)
  let from = await idAfter(call, stream, after)
  let [at, lost, count] = [after, 0, FIRST]
  let isUntold = false
  while (at < through) {
    // Redis answers in this order. XINFO comes after the entries, so it knows of all that was trimmed
    // before they were read. The epoch comes last: if it is the same, so is the stream.
    const [reply, info, now] = await Promise.all([
      call('XRANGE', stream, from, end, 'COUNT', String(count)),
      look(call, stream),
      call('GET', key),
    ])
    if (String(now) !== epoch) throw new Error('The stream was made anew.')
    const entries = reply as Entry[]
    lost = Math.max(lost, lostThrough(at, through, entries, info))
    if (lost > at) yield { lostThrough: (at = lost) }
    for (const entry of entries) {
      const message = toMessage(stream, entry)
      const number = numberOf(message.id)!
      if (number <= lost || number > through) continue
      // An entry whose number does not rise is lost, and told with the number below the next one.
      if (number <= at) {
        isUntold = true
        continue
      }
      if (isUntold) yield { lostThrough: number - 1 }
      isUntold = false
      at = number
      const made = entryFor(settings, wanted, message, number)
      if (made !== undefined) yield made
    }
    const last = entries.at(-1)
    if (last === undefined || entries.length < count) {
      if (isUntold && at < through) yield { lostThrough: through }
      return
    }
    from = nextId(String(last[0]))
    const size = entries.reduce((sum, [, fields]) => sum + sizeOf(fields), 0)
    count = Math.max(
      1,
      Math.min(MOST, 4 * count, Math.floor((CHUNK_BYTES * entries.length) / size)),
    )
  }
}

/** What to yield for an entry. One that `route` or `payload` refuses is lost, as it was when it was live. */
function entryFor(
  { routes }: ReplaySettings,
  wanted: ReadonlySet<string>,
  message: RedisStreamMessage,
  number: number,
): LogEntry | undefined {
  try {
    const topics = routes.topicsOf(message).filter((topic) => wanted.has(topic))
    if (topics.length === 0) return undefined
    const payload = topics.map((topic) => routes.payloadOf(message, topic))
    return { number, payload, topics }
  } catch {
    return { lostThrough: number }
  }
}

/**
 * The id to read from, to get all entries after a number. It may be of an earlier millisecond than
 * the number: the entry `5-2049` has taken a number of the millisecond 6 (see `numberOf`).
 */
async function idAfter(call: Call, stream: string, number: number): Promise<string> {
  let from = lowestIdAfter(number, highestId(number))
  for (;;) {
    const milliseconds = BigInt(from.split('-')[0]!)
    if (milliseconds === 0n) return from
    const end = String(milliseconds - 1n)
    const reply = await call('XREVRANGE', stream, end, '-', 'COUNT', '1')
    const [entry] = reply as Entry[]
    if (entry === undefined) return from
    const before = String(entry[0])
    if ((numberOf(before) ?? 0) <= number) return from
    from = lowestIdAfter(number, before)
  }
}

/** The last number that may be missing between `after` and the last of the entries that were read. */
function lostThrough(
  after: number,
  through: number,
  entries: readonly Entry[],
  info: StreamInfo | undefined,
): number {
  if (info === undefined) return through
  const { first, deleted, added, length } = info
  const isKept = first !== undefined && numberOf(first)! <= after
  // A stream that still has every entry it was given had nothing before the first.
  const isWhole = after === 0 && added === length
  const next = entries[0]
  const before = next === undefined ? through : numberOf(String(next[0]))! - 1
  const trimmed = isKept || isWhole ? 0 : Math.min(before, through)
  return Math.max(trimmed, deleted === undefined ? 0 : Math.min(numberOf(deleted) ?? 0, through))
}

function sizeOf(fields: readonly Buffer[]): number {
  return fields.reduce((sum, { length }) => sum + length, 16)
}
