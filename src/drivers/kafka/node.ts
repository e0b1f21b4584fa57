import { Backoff } from '../../driver-kit/backoff.js'
import type { Bounds } from './link.js'
import { Link } from './link.js'
import type { Pauses } from './pauses.js'
import type { Partition } from './reading.js'
import type { Address, Library } from './wire.js'
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
    const { link, wait } = this.options
    const turns = new Map(asked.map((partition) => [partition, partition.turn]))
    const queries = asked.map(({ topic, id, partition, next }) => ({
      topic,
      id,
      partition,
      offset: next,
    }))
    const byName = new Map(asked.map((partition) => [nameOf(partition), partition]))
    const answers = await link.use((wire) => wire.fetch(queries, wait), wait)
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
 * One broker of the cluster. It answers what comes on one connection in order, so that whatever
 * stands behind a question that waits for messages waits too: hence a connection for what is to
 * be answered at once, one for all that is read, and one for a moment for what has just been
 * opened, until the question for all the others has been answered and the next takes it in.
 */
export class Node {
  readonly control: Link
  readonly #links: readonly Link[]
  readonly #lanes: readonly Lane[]
  readonly #proving: Lane
  readonly #fresh: Lane
  readonly #steady: Lane

  constructor(
    readonly address: Address,
    library: Library,
    bounds: Bounds,
    events: NodeEvents,
    pauses: Pauses,
  ) {
    const [control, beside, main] = [1, 2, 3].map(() => new Link(library, address, bounds)) as [
      Link,
      Link,
      Link,
    ]
    const shared = { events, pauses }
    this.control = control
    this.#links = [control, beside, main]
    this.#proving = new Lane({
      ...shared,
      link: control,
      wait: 0,
      gather: () => this.#move(this.#proving, ({ proven }) => proven),
    })
    this.#fresh = new Lane({
      ...shared,
      link: beside,
      // Another one that is opened meanwhile has to wait for it.
      wait: Math.min(25, bounds.maxWait),
      gather: () => this.#steady.busy || this.#move(this.#fresh, () => true),
      rest: () => beside.release(),
    })
    this.#steady = new Lane({
      ...shared,
      link: main,
      wait: bounds.maxWait,
      gather: () => this.#move(this.#fresh, () => true, this.#steady),
      rest: () => main.release(),
    })
    this.#lanes = [this.#proving, this.#fresh, this.#steady]
  }

  get idle(): boolean {
    return this.#lanes.every(({ partitions }) => partitions.size === 0)
  }

  add(partition: Partition): void {
    if (!partition.proven) this.#proving.add(partition)
    else if (this.#steady.busy) this.#fresh.add(partition)
    else this.#steady.add(partition)
  }

  has(partition: Partition): boolean {
    return this.#lanes.some((lane) => lane === partition.lane)
  }

  close(): void {
    for (const link of this.#links) link.close()
  }

  #move(from: Lane, which: (partition: Partition) => boolean, to?: Lane): void {
    for (const partition of [...from.partitions].filter(which)) {
      // What is under way for it no longer counts, and is asked for again.
      partition.park()
      if (to) to.add(partition)
      else this.add(partition)
    }
  }
}
