/** An event as it stood in the stream. */
export interface StreamEvent {
  type: string
  data: string
  lastEventId: string
  /** Whether the event has an `id:` of its own. */
  named: boolean
}

/** What reads a stream is told. */
export interface StreamReader {
  /** A piece has come, of whatever it is a part. */
  piece?(): void
  event(event: StreamEvent): void
  retry?(milliseconds: number): void
}

/** Reads an event stream to its end, as HTML's section 9.2.6 says. */
export async function readEvents(
  body: { read(): Promise<{ done: boolean; value?: Uint8Array | undefined }> },
  reader: StreamReader,
): Promise<void> {
  // A byte order mark at the beginning is dropped by the decoder.
  const decoder = new TextDecoder()
  let rest = ''
  let type = ''
  let data: string[] = []
  let lastEventId = ''
  let named = false
  for (;;) {
    const { done, value } = await body.read()
    if (done) return
    rest += decoder.decode(value, { stream: true })
    // A CR at the end may be half of a CRLF: it waits for what comes next.
    const lines = rest.split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop()!
    reader.piece?.()
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) {
          reader.event({ type: type || 'message', data: data.join('\n'), lastEventId, named })
        }
        type = ''
        data = []
        named = false
        continue
      }
      const colon = line.indexOf(':')
      const field = colon < 0 ? line : line.slice(0, colon)
      const text = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1))
      if (field === 'data') data.push(text)
      else if (field === 'event') type = text
      else if (field === 'id' && !text.includes('\0')) {
        lastEventId = text
        named = true
      } else if (field === 'retry' && /^\d+$/.test(text)) reader.retry?.(Number(text))
    }
  }
}
