import { BodyError } from '../index.js'

/** A part of a run, as a producer sends it. */
export interface SentPart {
  readonly data: unknown
  readonly event?: string
  readonly transient?: boolean
}

const PART_KEYS = ['data', 'event', 'transient']

/**
 * A value as a part: `{"data", "event", "transient"}`, or any other value, which is the data itself.
 *
 * @throws BodyError
 */
export function partFrom(value: unknown, where: string): SentPart {
  const isPart =
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.hasOwn(value, 'data') &&
    Object.keys(value).every((key) => PART_KEYS.includes(key))
  if (!isPart) return { data: value }
  const { data, event, transient } = value as Record<string, unknown>
  if (event !== undefined && typeof event !== 'string')
    throw new BodyError(`${where}event takes a text.`)
  if (transient !== undefined && typeof transient !== 'boolean')
    throw new BodyError(`${where}transient takes true or false.`)
  return {
    data,
    ...(event !== undefined && { event }),
    ...(transient !== undefined && { transient }),
  }
}

/** Takes a body apart while it comes: each call gives the parts that are whole. */
export interface PartReader {
  read(chunk: Buffer): SentPart[]
  /** What the end of the body makes whole. */
  end(): SentPart[]
}

/** The reader for a media type, or undefined: there is none. */
export function partReader(type: string, maxBytes: number): PartReader | undefined {
  const [essence = ''] = type.toLowerCase().split(';')
  switch (essence.trim()) {
    case 'application/x-ndjson':
    case 'application/ndjson':
    case 'application/jsonl':
    case 'application/json':
      return new JsonLines(maxBytes)
    case 'text/event-stream':
      return new EventLines(maxBytes)
    default:
      return undefined
  }
}

abstract class Lines implements PartReader {
  private readonly decoder = new TextDecoder('utf-8', { fatal: true })
  private rest = ''
  protected count = 0

  constructor(private readonly maxBytes: number) {}

  read(chunk: Buffer): SentPart[] {
    return this.take(this.decode(chunk))
  }

  end(): SentPart[] {
    const parts = this.take(this.decode(undefined))
    return this.rest === '' ? parts : [...parts, ...this.take('\n')]
  }

  /** The parts that a line makes whole. */
  protected abstract line(line: string): SentPart[]

  private take(text: string): SentPart[] {
    const lines = (this.rest + text).split('\n')
    this.rest = lines.pop()!
    if (this.rest.length > this.maxBytes)
      throw new BodyError(`Line ${this.count + 1} is longer than ${this.maxBytes} bytes.`)
    return lines.flatMap((line) => {
      this.count++
      return this.line(line.endsWith('\r') ? line.slice(0, -1) : line)
    })
  }

  private decode(chunk: Buffer | undefined): string {
    try {
      return this.decoder.decode(chunk, { stream: chunk !== undefined })
    } catch (error) {
      throw new BodyError('The body is not UTF-8.', { cause: error })
    }
  }
}

/** One JSON value on each line. */
class JsonLines extends Lines {
  protected line(line: string): SentPart[] {
    if (line.trim() === '') return []
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch (error) {
      throw new BodyError(`Line ${this.count} is no JSON: one value stands on one line.`, {
        cause: error,
      })
    }
    return [partFrom(value, `Line ${this.count}: `)]
  }
}

/** Server-sent events. */
class EventLines extends Lines {
  private data: string[] = []
  private event: string | undefined

  override end(): SentPart[] {
    // The last event needs no empty line behind it: the end of the body ends it.
    return [...super.end(), ...this.dispatch()]
  }

  protected line(line: string): SentPart[] {
    if (line === '') return this.dispatch()
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') this.data.push(value)
    if (field === 'event') this.event = value
    return []
  }

  private dispatch(): SentPart[] {
    const { data, event } = this
    this.data = []
    this.event = undefined
    if (data.length === 0) return []
    const isNamed = event !== undefined && event !== '' && event !== 'message'
    return [{ data: data.join('\n'), ...(isNamed && { event }) }]
  }
}
