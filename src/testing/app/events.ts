import { StringDecoder } from 'node:string_decoder'

/** One event, as a browser dispatches it. */
export interface StreamEvent {
  /** The topic, or `message` where the stream names no event. */
  readonly event: string
  readonly data: string
  /** What `MessageEvent.lastEventId` is: the position, to go on from. */
  readonly id: string
}

/** What an event is to be: the parts that are named must fit. */
export interface ExpectedEvent {
  readonly event?: string
  /** The text; a pattern; or what the text is as JSON. */
  readonly data?: unknown
}

/** Reads an event stream, in whatever pieces it comes (HTML standard, section 9.2.6). */
export class EventParser {
  /** The position of the last event that was dispatched. */
  id: string
  private readonly decoder = new StringDecoder('utf8')
  private rest = ''
  private isFirst = true
  private event = ''
  private data: string[] = []
  private nextId: string

  constructor(id = '') {
    this.id = id
    this.nextId = id
  }

  /** @returns the events that are whole with this piece. */
  feed(piece: Buffer): StreamEvent[] {
    let text = this.rest + this.decoder.write(piece)
    if (this.isFirst && text !== '') {
      this.isFirst = false
      text = text.replace(/^\uFEFF/, '')
    }
    // A CR at the end may be the first half of a line end.
    const lines = text.split(/\r\n|\n|\r(?!$)/)
    this.rest = lines.pop()!
    return lines.flatMap((line) => this.take(line) ?? [])
  }

  private take(line: string): StreamEvent | undefined {
    if (line === '') return this.dispatch()
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'event') this.event = value
    else if (field === 'data') this.data.push(value)
    else if (field === 'id' && !value.includes('\0')) this.nextId = value
    return undefined
  }

  private dispatch(): StreamEvent | undefined {
    const { event, data } = this
    this.event = ''
    this.data = []
    this.id = this.nextId
    if (data.length === 0) return undefined
    return { event: event || 'message', data: data.join('\n'), id: this.id }
  }
}
