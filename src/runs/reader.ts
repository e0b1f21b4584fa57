import type { Timer, Timers } from '../clock.js'
import type { Outlet, OutletOwner } from '../delivery/connection.js'
import type { Encoded, EventFields } from '../wire/encode.js'
import { encodeEvents, encodeOpening } from '../wire/encode.js'
import type { News, RunFeed, Watcher } from './feed.js'
import type { Folding } from './folding.js'
import type { RunFormat } from './format.js'
import { formatPlace } from './format.js'
import type { Part } from './parts.js'

/** How many bytes of text are encoded and written at once, about. */
const STEP = 48 * 1024

type Field = EventFields & { data: string; resumes?: never }

/** What a reader needs beside its run. */
export interface ReaderHost {
  readonly timers: Timers
  readonly format: RunFormat
  readonly folding: Folding | undefined
  readonly slowReaderTimeout: number
  /** The response is over. Called once. */
  gone(): void
}

/**
 * One response with a run: all its parts from a place on, then those that come, then its end. It has
 * no queue: it is a number, up to which it has written.
 */
export class RunReader implements Watcher, OutletOwner {
  private isFull = false
  private state: 'open' | 'ending' | 'gone' = 'open'
  private patience: Timer | undefined = undefined

  /**
   * @param through The number of the last part that the reader has.
   * @param resumes The position that a browser's EventSource has named. WebKit appends this stream to
   *   the half event at which the one before it broke, and would give that as a part.
   */
  constructor(
    private readonly feed: RunFeed,
    private through: number,
    private readonly outlet: Outlet,
    private readonly host: ReaderHost,
    resumes?: string,
  ) {
    outlet.connection = this
    if (resumes !== undefined) this.write(encodeOpening({ resumes }))
    feed.add(this)
    if (!this.isFull) this.catchUp()
  }

  parts(news: News): void {
    // Who is behind reads them from the log.
    if (this.state !== 'open' || this.isFull || this.through !== news.after) return
    const { format } = this.host
    const encoded = news.as(format, (parts) => encodeEvents(this.fields(parts)))
    this.through = this.feed.log.count
    this.write(encoded)
  }

  ended(): void {
    if (!this.isFull) this.catchUp()
  }

  closed(): void {
    this.finish()
  }

  drained(): void {
    if (!this.isFull) return
    this.isFull = false
    this.host.timers.cancel(this.patience)
    if (this.state === 'open') this.catchUp()
  }

  gone(): void {
    if (this.state === 'gone') return
    this.state = 'gone'
    this.host.timers.cancel(this.patience)
    this.feed.delete(this)
    this.host.gone()
  }

  /** Writes what the reader does not have, for as long as it takes it. */
  private catchUp(): void {
    while (this.state === 'open' && !this.isFull && this.through < this.feed.log.count) {
      const step = this.step()
      this.through = step.through
      this.write(encodeEvents(step.fields))
    }
    const { end } = this.feed
    if (this.state !== 'open' || this.isFull || end === undefined) return
    const place = formatPlace(this.feed.id, this.feed.log.count + 1)
    this.write(encodeEvents(this.host.format.end(end, place)))
    this.finish()
  }

  /** The next parts that are written together. */
  private step(): { fields: Field[]; through: number } {
    const parts: Part[] = []
    let size = 0
    const { folding } = this.host
    for (const part of this.feed.log.after(this.through)) {
      parts.push(part)
      size += part.text.length
      if (size >= STEP) break
    }
    const through = parts.at(-1)!.number
    return { fields: this.fields(folding === undefined ? parts : folding(parts)), through }
  }

  private fields(parts: readonly Part[]): Field[] {
    const { format } = this.host
    return parts.map((part) =>
      format.part(part, part.transient ? undefined : formatPlace(this.feed.id, part.number)),
    )
  }

  private write(encoded: Encoded): void {
    if (this.state !== 'open' || !this.outlet.writable) return
    if (this.outlet.write(this.outlet.chunked ? encoded.chunked : encoded.bytes)) return
    this.isFull = true
    this.awaitReader()
  }

  /** Ends the response, behind what was written. */
  private finish(): void {
    if (this.state !== 'open') return
    this.state = 'ending'
    if (!this.isFull) this.awaitReader()
    this.outlet.end({ leaving: false })
  }

  private awaitReader(): void {
    const { timers, slowReaderTimeout } = this.host
    this.patience = timers.after(slowReaderTimeout, () => this.outlet.destroy())
  }
}
