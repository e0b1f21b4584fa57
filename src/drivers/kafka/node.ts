import { Backoff } from '../toolbox/backoff.js'
import type { Bounds } from './link.js'
import { Link } from './link.js'
import type { Pauses } from './pauses.js'
import type { Partition } from './reading.js'
import type { Address, FetchAnswer, Library } from './wire.js'
import { UnreadableError } from './wire.js'

/** What becomes of what a broker is asked for. */
export interface NodeEvents {
  /** The broker answered for this partition, with an error. */
  refused(partition: Partition, code: number): void
  /** What the broker answered for this partition can't be decoded. */
  unreadable(partition: Partition, error: Error): void
  /** The link is lost, or can't be had. */
  lost(error: unknown): void
  /** The broker answers. */
  heard(): void
}

interface LaneOptions {
  link: Link
  events: NodeEvents
  pauses: Pauses
  /** For how long the broker is asked to wait. */
  wait: number
  /** Called before each question. */
  gather?: () => unknown
  /** Called when there is nothing left to ask for. */
  rest?: () => void
}

/** Asks one broker for some partitions, over and over, with one question at a time. */
export class Lane {
  readonly partitions = new Set<Partition>()
  #running = false
  readonly #backoff = new Backoff()
  #offset = 0

  constructor(private readonly options: LaneOptions) {}

  get busy(): boolean {
    return this.#running
  }

  add(partition: Partition): void {
    partition.lane = this
    this.partitions.add(partition)
    if (this.#running) return
    this.#running = true
    // In the next turn, so that those that come together are asked for together.
    setImmediate(() => void this.#run())
  }

  remove(partition: Partition): void {
    if (this.partitions.delete(partition) && this.partitions.size === 0) this.options.rest?.()
  }

  async #run(): Promise<void> {
    const { events, pauses } = this.options
    for (;;) {
      this.options.gather?.()
      const asked = this.#inTurn()
      if (asked.length === 0) break
      try {
        await this.#ask(asked)
        this.#backoff.reset()
        events.heard()
      } catch (error) {
        // A link that was let go because nobody needs it any more is not lost.
        if (this.partitions.size === 0) continue
        events.lost(error)
        await pauses.wait(this.#backoff.next())
      }
    }
    this.#running = false
  }

  /** Each time another one first, since the first have the best of an answer that is full. */
  #inTurn(): Partition[] {
    const all = [...this.partitions]
    this.#offset = all.length === 0 ? 0 : (this.#offset + 1) % all.length
    return [...all.slice(this.#offset), ...all.slice(0, this.#offset)]
  }

  async #ask(asked: readonly Partition[]): Promise<void> {
    try {
      await this.#fetch(asked)
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error
      const [only] = asked
      if (asked.length > 1) for (const one of asked) await this.#ask([one])
      else if (only?.lane === this) this.options.events.unreadable(only, error)
    }
  }

  async #fetch(partitions: readonly Partition[]): Promise<void> {
    const asked = partitions.filter(({ lane }) => lane === this)
    if (asked.length === 0) return
    // Whoever opens a topic waits for the first answer.
    const wait = asked.every(({ proven }) => proven) ? this.options.wait : 0
    const turns = new Map(asked.map((partition) => [partition, partition.turn]))
    const queries = asked.map(({ topic, id, partition, next }) => ({
      topic,
      id,
      partition,
      offset: next,
    }))
    const byName = new Map(asked.map((partition) => [nameOf(partition), partition]))
    let answers: FetchAnswer[]
    for (const partition of asked) partition.asked = true
    try {
      answers = await this.options.link.use((wire) => wire.fetch(queries, wait), wait)
    } finally {
      for (const partition of asked) partition.asked = false
    }
    for (const answer of answers) {
      const partition = byName.get(nameOf(answer))
      // It may have been closed or moved while the question was under way.
      if (!partition || partition.turn !== turns.get(partition)) continue
      if (answer.error !== 0) this.options.events.refused(partition, answer.error)
      else partition.reading.take(partition, answer)
    }
  }
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`
}

/**
 * One broker of the cluster, with two connections: a broker answers what comes on one connection
 * in order, so that whatever stands behind a question that waits for messages waits too.
 */
export class Node {
  readonly control: Link
  readonly #steadyLink: Link
  readonly #steady: Lane
  readonly #fresh: Lane

  constructor(
    readonly address: Address,
    library: Library,
    bounds: Bounds,
    events: NodeEvents,
    pauses: Pauses,
  ) {
    this.control = new Link(library, address, bounds)
    const link = new Link(library, address, bounds)
    this.#steadyLink = link
    // A topic that is opened while the steady question waits does not wait with it: it is asked
    // for beside, briefly each time, until that question has been answered.
    const wait = Math.min(25, bounds.maxWait)
    this.#fresh = new Lane({
      link: this.control,
      events,
      pauses,
      wait,
      gather: () => this.#steady.busy || this.#settle(),
    })
    this.#steady = new Lane({
      link,
      events,
      pauses,
      wait: bounds.maxWait,
      gather: () => this.#settle(),
      rest: () => link.release(),
    })
  }

  get idle(): boolean {
    return this.#steady.partitions.size + this.#fresh.partitions.size === 0
  }

  add(partition: Partition): void {
    const lane = this.#steady.busy ? this.#fresh : this.#steady
    lane.add(partition)
  }

  has(partition: Partition): boolean {
    return partition.lane === this.#steady || partition.lane === this.#fresh
  }

  close(): void {
    this.control.close()
    this.#steadyLink.close()
  }

  #settle(): void {
    for (const partition of [...this.#fresh.partitions]) {
      if (partition.asked) continue
      this.#fresh.remove(partition)
      this.#steady.add(partition)
    }
  }
}
