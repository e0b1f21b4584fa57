import type { News, RunFeed, Watcher } from './feed.js'
import { valueOf } from './folding.js'
import { formatPlace } from './format.js'
import type { Part } from './parts.js'
import type { RunEnd } from './ending.js'

/** How many parts wait for a reader in this process before it has to read them from the log. */
const MOST_PASSING = 1_000

/** A part as a reader in this process gets it. */
export interface ReadPart {
  /** Its place. A transient part has none. */
  readonly id: string | undefined
  /** The part, as it was appended. */
  readonly data: unknown
  readonly event: string | undefined
}

/** A run's end, with what its producer returned. */
export type ReadEnd =
  | { readonly kind: 'done'; readonly data?: unknown }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'stopped' }

export function readEnd(end: RunEnd): ReadEnd {
  if (end.kind !== 'done' || end.data === undefined) return end
  return { kind: 'done', data: JSON.parse(end.data) as unknown }
}

export function readPart(run: string, part: Part): ReadPart {
  const id = part.transient ? undefined : formatPlace(run, part.number)
  return { id, data: valueOf(part), event: part.event }
}

/** One reader in this process: takes what is there, and waits for what comes. */
export class FeedReading implements Watcher {
  /** Transient parts that have come since the last look, by the number that they stand behind. */
  private passing: Part[] = []
  private wake: () => void = () => undefined
  private isClosed = false

  constructor(
    private readonly feed: RunFeed,
    private through: number,
    private readonly signal: AbortSignal | undefined,
  ) {}

  parts(news: News): void {
    // Only who has all that came before is live. Who takes too long reads on from the log.
    const has = this.passing.at(-1)?.number ?? this.through
    if (has === news.after && this.passing.length < MOST_PASSING) this.passing.push(...news.parts)
    this.wake()
  }

  ended(): void {
    this.wake()
  }

  closed(): void {
    this.isClosed = true
    this.wake()
  }

  async *read(): AsyncGenerator<ReadPart, ReadEnd | undefined> {
    const { feed, signal } = this
    const onAbort = () => this.wake()
    signal?.addEventListener('abort', onAbort)
    feed.add(this)
    try {
      for (;;) {
        for (const part of this.next()) {
          yield readPart(feed.id, part)
          signal?.throwIfAborted()
        }
        if (this.through < feed.log.count || this.passing.length > 0) continue
        if (feed.end !== undefined) return readEnd(feed.end)
        if (this.isClosed) return undefined
        signal?.throwIfAborted()
        await new Promise<void>((resolve) => (this.wake = resolve))
        signal?.throwIfAborted()
      }
    } finally {
      feed.delete(this)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  private *next(): Generator<Part> {
    for (const part of this.passing.splice(0)) {
      if (part.transient ? part.number === this.through : part.number === this.through + 1) {
        this.through = part.number
        yield part
      }
    }
    for (const part of this.feed.log.after(this.through)) {
      this.through = part.number
      yield part
    }
  }
}
