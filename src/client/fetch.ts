import { retryAfter } from './retry-after.js'
import type { EventSourceLike, SourceOptions } from './types.js'

interface Event {
  type: string
  data: string
  lastEventId: string
}

/** What `error` says beyond an EventSource: why the stream ended. */
export interface StreamEnd {
  type: 'error'
  /** The status, where the answer was no stream. 0 where none came. */
  status: number
  /** In milliseconds. */
  retryAfter?: number | undefined
  /** The server's `retry:`, in milliseconds. */
  retry?: number | undefined
}

type Listener = (event: never) => void

/**
 * EventSource over `fetch`: it can send headers, and it says why it ended. It does not come back by itself:
 * that is the client's part.
 */
export class FetchEventSource implements EventSourceLike {
  // Declared, and not fields of the class: those are younger than ES2020.
  declare readyState: number
  declare onerror: Listener | null
  declare private readonly listeners: Map<string, Listener[]>
  declare private readonly gone: AbortController
  declare private retry: number | undefined

  constructor(url: string, options: SourceOptions) {
    const listeners = new Map<string, Listener[]>()
    Object.assign(this, { readyState: 0, onerror: null, listeners, gone: new AbortController() })
    void this.read(url, options)
  }

  addEventListener(type: string, listener: Listener): void {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener])
  }

  close(): void {
    this.readyState = 2
    this.gone.abort()
  }

  /** `*bytes` tells of each piece, `*rest` of events that no listener is named for. No topic is meant. */
  private dispatch(event: Event): void {
    for (const listener of this.listeners.get(event.type) ?? this.listeners.get('*rest') ?? []) {
      if (this.readyState !== 2) listener(event as never)
    }
  }

  private async read(url: string, { headers, withCredentials }: SourceOptions): Promise<void> {
    const end: StreamEnd = { type: 'error', status: 0 }
    try {
      const init = {
        headers: { ...(await headers?.()), accept: 'text/event-stream' },
        credentials: withCredentials ? ('include' as const) : ('same-origin' as const),
        cache: 'no-store' as const,
        signal: this.gone.signal,
      }
      const response = await fetch(url, init)
      end.status = response.status
      end.retryAfter = retryAfter(response.headers.get('retry-after'))
      const type = response.headers.get('content-type') ?? ''
      if (response.status === 200 && type.startsWith('text/event-stream') && response.body) {
        if (this.readyState === 0) this.readyState = 1
        await this.parse(response.body.getReader())
      } else await response.body?.cancel()
    } catch {
      // Broken or never begun: the client comes back either way.
      end.type = 'error'
    }
    if (this.readyState === 2) return
    this.readyState = 2
    end.retry = this.retry
    this.onerror?.(end as never)
  }

  private async parse(reader: {
    read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>
  }): Promise<void> {
    // A byte order mark at the beginning is dropped by the decoder.
    const decoder = new TextDecoder()
    let rest = ''
    let type = ''
    let data: string[] = []
    let id = ''
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      rest += decoder.decode(value, { stream: true })
      // A CR at the end may be half of a CRLF: it waits for what comes next.
      const lines = rest.split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop()!
      for (const listener of this.listeners.get('*bytes') ?? []) listener({} as never)
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) {
            this.dispatch({ type: type || 'message', data: data.join('\n'), lastEventId: id })
          }
          type = ''
          data = []
          continue
        }
        const colon = line.indexOf(':')
        const field = colon < 0 ? line : line.slice(0, colon)
        const text = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1))
        if (field === 'data') data.push(text)
        else if (field === 'event') type = text
        else if (field === 'id' && !text.includes('\0')) id = text
        else if (field === 'retry' && /^\d+$/.test(text)) this.retry = Number(text)
      }
    }
  }
}
