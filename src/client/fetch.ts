import { readEvents } from './event-stream.js'
import type { StreamEvent } from './event-stream.js'
import { retryAfter } from './retry-after.js'
import type { EventSourceLike, SourceOptions } from './types.js'

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
  private dispatch(event: StreamEvent): void {
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
        await readEvents(response.body.getReader(), {
          piece: () => {
            for (const listener of this.listeners.get('*bytes') ?? []) listener({} as never)
          },
          event: (event) => this.dispatch(event),
          retry: (milliseconds) => (this.retry = milliseconds),
        })
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
}
