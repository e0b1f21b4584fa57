/** One event as a browser would dispatch it. */
export interface ParsedEvent {
  type: string
  data: string
  /** What `MessageEvent.lastEventId` would be. */
  lastEventId: string
  /** Whether the event itself carried an `id:`. */
  hasId: boolean
  retry: number | undefined
}

const CR = 0x0d
const LF = 0x0a

/**
 * Reads an event stream as the HTML standard says (section 9.2.6, "Interpreting an event
 * stream"), written from the standard and not from the code that it tests.
 *
 * Bytes may come in any pieces. Only complete events count: what stands after the last blank
 * line has not been received.
 */
export class SseParser {
  lastEventId: string
  /** Comments, which a browser ignores. */
  comments = 0
  private bytes: Buffer = Buffer.alloc(0)
  private started = false
  private skipLineFeed = false
  private idBuffer: string
  private data = ''
  private type = ''
  private hasId = false
  private retry: number | undefined

  constructor(lastEventId = '') {
    this.lastEventId = lastEventId
    this.idBuffer = lastEventId
  }

  feed(bytes: Uint8Array): ParsedEvent[] {
    this.bytes = this.bytes.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.bytes, bytes])
    const events: ParsedEvent[] = []
    let start = 0
    for (let i = 0; i < this.bytes.length; i++) {
      const byte = this.bytes[i]
      if (byte === LF && this.skipLineFeed) {
        this.skipLineFeed = false
        start = i + 1
        continue
      }
      this.skipLineFeed = false
      if (byte !== CR && byte !== LF) continue
      this.skipLineFeed = byte === CR
      const event = this.line(this.bytes.subarray(start, i).toString('utf8'))
      if (event !== undefined) events.push(event)
      start = i + 1
    }
    this.bytes = this.bytes.subarray(start)
    return events
  }

  private line(text: string): ParsedEvent | undefined {
    if (!this.started && text.startsWith('\uFEFF')) text = text.slice(1)
    this.started = true
    if (text === '') return this.dispatch()
    const colon = text.indexOf(':')
    if (colon === 0) {
      this.comments++
      return undefined
    }
    const field = colon < 0 ? text : text.slice(0, colon)
    const rest = colon < 0 ? '' : text.slice(colon + 1)
    this.field(field, rest.startsWith(' ') ? rest.slice(1) : rest)
    return undefined
  }

  private field(name: string, value: string): void {
    // By the standard, an event's fields may come in any order. Ours end with the id.
    if (this.hasId) throw new Error(`An event goes on behind its id, with ${name}: ${value}`)
    if (name === 'event') this.type = value
    else if (name === 'data') this.data += value + '\n'
    else if (name === 'id' && !value.includes('\0')) {
      this.idBuffer = value
      this.hasId = true
    } else if (name === 'retry' && /^\d+$/.test(value)) this.retry = Number(value)
  }

  private dispatch(): ParsedEvent | undefined {
    const { type, data, hasId, retry } = this
    this.lastEventId = this.idBuffer
    this.type = ''
    this.data = ''
    this.hasId = false
    this.retry = undefined
    if (data === '') return undefined
    const lastEventId = this.lastEventId
    return { type: type || 'message', data: data.slice(0, -1), lastEventId, hasId, retry }
  }
}
