/** What a reader of an event stream hands to its page. */
export interface Dispatched {
  type: string
  data: string
}

/** Reads one stream after the other, as some client of other people does. */
export interface LenientReader {
  /** What it names when it comes back. */
  readonly position: string
  readonly got: Dispatched[]
  /** A new stream begins. */
  open(): void
  feed(text: string): void
}

/** Fields of the event that is being read. */
class Half {
  line = ''
  type = ''
  data: string[] = []
  id: string | undefined

  /** Takes text, and calls `ended` at each line's end. */
  feed(text: string, ended: (line: string) => void): void {
    const lines = (this.line + text).split('\n')
    this.line = lines.pop()!
    for (const line of lines) ended(line)
  }

  field(line: string): void {
    const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/.exec(line)!
    if (name === 'event') this.type = value
    else if (name === 'data') this.data.push(value)
    else if (name === 'id') this.id = value
  }
}

/** Counts an id as soon as it has read its line (fetch-event-source, eventsource 2, r3labs/sse). */
export class EagerReader implements LenientReader {
  position = ''
  readonly got: Dispatched[] = []
  private half = new Half()

  open(): void {
    this.half = new Half()
  }

  feed(text: string): void {
    this.half.feed(text, (line) => {
      const { half } = this
      if (line !== '') {
        half.field(line)
        this.position = half.id ?? this.position
        return
      }
      if (half.data.length > 0) this.got.push(dispatched(half))
      Object.assign(half, { type: '', data: [], id: undefined })
    })
  }
}

/** Keeps half an event when its stream breaks, and appends the next stream to it (WebKit). */
export class KeepingReader implements LenientReader {
  position = ''
  readonly got: Dispatched[] = []
  private readonly half = new Half()

  open(): void {
    // It forgets nothing.
  }

  feed(text: string): void {
    this.half.feed(text, (line) => {
      const { half } = this
      if (line !== '') {
        half.field(line)
        return
      }
      if (half.data.length > 0) {
        this.position = half.id ?? this.position
        this.got.push(dispatched(half))
        Object.assign(half, { data: [], id: undefined })
      }
      half.type = ''
    })
  }
}

/** Takes an empty line for the end of a message, whatever came before (fetch-event-source, httpx-sse). */
export class EmptyLineReader implements LenientReader {
  position = ''
  readonly got: Dispatched[] = []
  private half = new Half()

  open(): void {
    this.half = new Half()
  }

  feed(text: string): void {
    this.half.feed(text, (line) => {
      const { half } = this
      if (line !== '') {
        half.field(line)
        return
      }
      this.position = half.id ?? this.position
      this.got.push(dispatched(half))
      this.half = Object.assign(new Half(), { line: half.line })
    })
  }
}

function dispatched({ type, data }: Half): Dispatched {
  return { type: type || 'message', data: data.join('\n') }
}
