import type { Grant } from '../delivery/membership.js'
import { isGrant } from '../delivery/membership.js'
import { checkTopicName } from '../service/names.js'
import type { Labels } from '../service/selector.js'
import { areLabels, LABELS, NO_LABELS } from '../service/selector.js'

/** The version of the records' form. Records of another version are ignored. */
const VERSION = 1

/** A generation has one after it. */
const LAST = Number.MAX_SAFE_INTEGER

/** A client as the directory keeps it. */
export interface ClientRecord {
  id: string
  owner: string | undefined
  /** The server that has the client, connected or not. */
  server: string
  /** Whether it had a stream there when the record was written. */
  connected: boolean
  /** Rises with each connection. If two servers hold the client, the higher one counts. */
  generation: number
  /** Its topics. Each has the position after which it begins; null without a log. */
  topics: Map<string, string | null>
  /** How a request came by its topics, for those that a request came by. */
  granted: Map<string, Grant>
  /** What it was marked with where it was made. */
  labels: Labels
  /** Its position, if it is not connected. */
  position: string | undefined
  /** Whether it has had a stream, on whichever server. */
  streamed: boolean
  /** Fields that a newer version has written. They are written back unchanged. */
  rest: Readonly<Record<string, unknown>>
}

/** What this server allows of a client. */
export interface RecordLimits {
  readonly maxTopics: number
  readonly maxTopicLength: number
}

/** A server's name: up to 64 characters of an option's, and random digits. */
const SERVER = /^[\w-]{1,128}$/

/**
 * Reads a record. It is checked like a request: whoever can write to the engine is not trusted with
 * names that are not topics, or with more of them than a client may have.
 *
 * @returns the record, or a sentence that says why the text is not one.
 */
export function readRecord(id: string, text: string, limits: RecordLimits): ClientRecord | string {
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch {
    return 'It is not valid JSON.'
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    return 'It is not an object.'
  }
  const {
    v,
    id: named,
    owner,
    server,
    connected,
    generation,
    topics,
    position,
    granted,
    labels = NO_LABELS,
    streamed = false,
    ...rest
  } = fields as Record<string, unknown>
  if (v !== VERSION)
    return `Its version is ${JSON.stringify(v)}; this server reads version ${VERSION}.`
  if (named !== id) return 'It belongs to another id.'
  if (owner !== undefined && (typeof owner !== 'string' || owner === '')) {
    return 'Its owner is not text.'
  }
  if (typeof server !== 'string' || !SERVER.test(server))
    return "Its server is not a server's name."
  if (typeof connected !== 'boolean') return 'Its connected is not a boolean.'
  if (!Number.isSafeInteger(generation) || (generation as number) < 1 || generation === LAST) {
    return 'Its generation is not a whole number from 1.'
  }
  if (position !== undefined && typeof position !== 'string') return 'Its position is not a string.'
  if (!areLabels(labels)) return `Its labels are not ${LABELS}.`
  if (typeof streamed !== 'boolean') return 'Its streamed is not a boolean.'
  if (typeof topics !== 'object' || topics === null || Array.isArray(topics))
    return 'Its topics are not an object.'
  const places = Object.entries(topics as Record<string, unknown>)
  if (!places.every(([, since]) => since === null || typeof since === 'string')) {
    return 'A topic of it has neither a position nor null.'
  }
  if (places.length > limits.maxTopics) {
    return `It has ${places.length} topics; maxTopics is ${limits.maxTopics}.`
  }
  for (const [name] of places) {
    try {
      checkTopicName(name, limits.maxTopicLength)
    } catch (error) {
      return (error as Error).message
    }
  }
  return {
    id,
    owner,
    server,
    connected,
    generation: generation as number,
    topics: new Map(places as [string, string | null][]),
    granted: grantsIn(granted),
    labels,
    position,
    streamed,
    rest,
  }
}

/** A grant that this version does not know is an added topic's, so that it is asked for again. */
function grantsIn(granted: unknown): Map<string, Grant> {
  if (typeof granted !== 'object' || granted === null) return new Map()
  return new Map(
    Object.entries(granted).map(([topic, grant]) => [
      topic,
      isGrant(grant) ? grant : { how: 'added' },
    ]),
  )
}

/** A record's text. */
export function writeRecord({ rest, topics, granted, labels, ...fields }: ClientRecord): string {
  // `Object.fromEntries` also takes a topic named `__proto__`.
  return JSON.stringify({
    ...rest,
    v: VERSION,
    ...fields,
    topics: Object.fromEntries(topics),
    ...(Object.keys(labels).length > 0 && { labels }),
    ...(granted.size > 0 && { granted: Object.fromEntries(granted) }),
  })
}
