import { RunFeed } from '../feed.js'
import type { RunEnd } from '../ending.js'

/** What the feeds of a server need of its store. */
export interface FeedSource {
  /** Batches behind a place in the run, in order; `more` where there are further ones. */
  batches(id: string, after: number): Promise<{ seq: number; batch: Buffer }[]>
  /** How the run has ended, if it has. */
  end(id: string): Promise<RunEnd | undefined>
  /** How many batches a read gives at most. */
  readonly most: number
  readonly failed: (error: unknown) => void
}

/** How many readers the run has here has changed. */
export type Watched = (feed: KeptFeed, readers: number) => void

/**
 * The parts of one run as this server has them: read from the log, then as they are published. Each
 * batch has its place in the run, so that one that was missed is seen, and read.
 */
export class KeptFeed {
  readonly feed: RunFeed
  /** The place of the last batch. */
  private seq = 0
  private loading: Promise<void> | undefined = undefined
  private again = false

  constructor(
    readonly id: string,
    private readonly source: FeedSource,
    watched: Watched,
  ) {
    this.feed = new RunFeed(id, (readers) => watched(this, readers))
  }

  /** A batch that was published, or that this server has written. */
  take(seq: number, batch: Buffer): void {
    if (seq <= this.seq) return
    if (seq === this.seq + 1 && this.loading === undefined) this.append(seq, batch)
    else this.reload()
  }

  /** Something may have been missed: reads what there is. */
  reload(): void {
    this.load().catch(this.source.failed)
  }

  /** Reads all that is in the log by now. */
  async load(): Promise<void> {
    if (this.loading !== undefined) {
      this.again = true
      return this.loading
    }
    this.loading = this.read()
    try {
      await this.loading
    } finally {
      this.loading = undefined
    }
  }

  /** Compares itself with the log. */
  compare(seq: number, isEnded: boolean): void {
    if (seq > this.seq || (isEnded && this.feed.end === undefined)) this.reload()
  }

  private async read(): Promise<void> {
    do {
      this.again = false
      // Asked first: what was appended before the end is then in the log.
      const end = await this.source.end(this.id)
      for (;;) {
        const batches = await this.source.batches(this.id, this.seq)
        for (const { seq, batch } of batches) this.append(seq, batch)
        if (batches.length < this.source.most) break
      }
      if (end !== undefined) this.feed.finish(end)
    } while (this.again)
  }

  private append(seq: number, batch: Buffer): void {
    this.seq = seq
    this.feed.append(batch)
  }
}
