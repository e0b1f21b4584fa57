import type { Part } from './parts.js'
import { PartLog, partsOf } from './parts.js'
import type { RunEnd } from './ending.js'

/** Who reads a run here. */
export interface Watcher {
  /** New parts have come, of which some may be transient. They stand in the feed by now. */
  parts(news: News): void
  /** The run has ended. All its parts have been told. */
  ended(): void
  /** Nothing more comes from this server. */
  closed(): void
}

/** Parts that have come at once. Readers that take them in one form share it. */
export class News {
  private decoded: readonly Part[] | undefined
  private readonly forms = new Map<object, unknown>()

  constructor(
    private readonly batch: Buffer,
    /** The number of the part before them. */
    readonly after: number,
  ) {}

  get parts(): readonly Part[] {
    return (this.decoded ??= [...partsOf(this.batch, this.after)])
  }

  /** What `make` makes of the parts, once for all that ask by this key. */
  as<T>(key: object, make: (parts: readonly Part[]) => T): T {
    let form = this.forms.get(key) as T | undefined
    if (form === undefined) this.forms.set(key, (form = make(this.parts)))
    return form
  }
}

/** The parts of one run in this process, and those who read them. */
export class RunFeed {
  readonly log = new PartLog()
  private ending: RunEnd | undefined = undefined
  private readonly watchers = new Set<Watcher>()

  /** @param watched Is told how many readers there are, when that changes. */
  constructor(
    readonly id: string,
    private readonly watched: (readers: number) => void,
  ) {}

  get end(): RunEnd | undefined {
    return this.ending
  }

  get readers(): number {
    return this.watchers.size
  }

  append(batch: Buffer): void {
    const news = new News(batch, this.log.count)
    this.log.append(batch)
    for (const watcher of this.watchers) watcher.parts(news)
  }

  finish(end: RunEnd): void {
    if (this.ending !== undefined) return
    this.ending = end
    this.log.trim()
    for (const watcher of this.watchers) watcher.ended()
  }

  /** No more can be read here. */
  close(): void {
    for (const watcher of this.watchers) watcher.closed()
  }

  add(watcher: Watcher): void {
    this.watchers.add(watcher)
    this.watched(this.watchers.size)
  }

  delete(watcher: Watcher): void {
    if (this.watchers.delete(watcher)) this.watched(this.watchers.size)
  }
}
