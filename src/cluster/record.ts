/** The form in which records are written. Records of another form are left alone. */
const VERSION = 1

/** What the directory remembers of a client. */
export interface ClientRecord {
  id: string
  owner: string | undefined
  /** The server that has the client, connected or not. */
  server: string
  /** Whether its stream is open there, as far as is known. */
  connected: boolean
  /** Rises with each connection, so that of two servers the later one is known. */
  generation: number
  /** Its topics, each with the position after which it counts, where servers share a numbering. */
  topics: Map<string, string | null>
  /** The position of what it was given last, where it is not connected. */
  position: string | undefined
  /** What a newer version has written that this one does not know: it is written back as it is. */
  rest: Readonly<Record<string, unknown>>
}

/**
 * Takes a record's text apart.
 *
 * @returns the record, or in words what it is instead.
 */
export function readRecord(id: string, text: string): ClientRecord | string {
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch {
    return 'It is no JSON.'
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    return 'It is no object.'
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
    ...rest
  } = fields as Record<string, unknown>
  if (v !== VERSION) return `It is of version ${JSON.stringify(v)}, and this is version ${VERSION}.`
  if (named !== id) return 'It belongs to another id.'
  if (owner !== undefined && typeof owner !== 'string') return 'Its owner is no string.'
  if (typeof server !== 'string') return 'Its server is no string.'
  if (typeof connected !== 'boolean') return 'Its connected is no boolean.'
  if (!Number.isSafeInteger(generation)) return 'Its generation is no whole number.'
  if (position !== undefined && typeof position !== 'string') return 'Its position is no string.'
  if (typeof topics !== 'object' || topics === null || Array.isArray(topics))
    return 'Its topics are no object.'
  const places = Object.entries(topics as Record<string, unknown>)
  if (!places.every(([, since]) => since === null || typeof since === 'string')) {
    return 'Its topics have no positions.'
  }
  return {
    id,
    owner,
    server,
    connected,
    generation: generation as number,
    topics: new Map(places as [string, string | null][]),
    position,
    rest,
  }
}

/** A record's text. */
export function writeRecord({ rest, topics, ...fields }: ClientRecord): string {
  // `fromEntries` makes a property of any name, `__proto__` too.
  return JSON.stringify({ ...rest, v: VERSION, ...fields, topics: Object.fromEntries(topics) })
}
