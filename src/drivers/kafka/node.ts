import { Backoff, pause } from '../../driver-kit/index.js'
import type { Bounds } from './broker-link.js'
import { BrokerLink } from './broker-link.js'
import type { Partition } from './topic-reader.js'
import type { Address, Library } from './wire.js'
import { UnreadableError } from './wire.js'

/** What a broker's answers mean for the driver. */
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
  link: BrokerLink
  events: NodeEvents
  /** Aborted when the driver is closed. */
  closing: AbortSignal
  /** For how long the broker is asked to wait. */
  wait: number
  /** Called before each fetch. */
  gather?: () => unknown
  /** Called when there is nothing left to ask for. */
  rest?: () => void
}

/** Fetches some partitions from one broker, over and over, with one fetch at a time. */
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
    // Later, so that partitions that are added together are asked for together.
    setImmediate(() => void this.#run())
  }

  remove(partition: Partition): void {
    if (this.partitions.delete(partition) && this.partitions.size === 0) this.options.rest?.()
  }

  async #run(): Promise<void> {
    const { events, closing } = this.options
    for (;;) {
      this.options.gather?.()
      const asked = this.#rotated()
      if (asked.length === 0) break
      try {
        await this.#ask(asked)
        this.#backoff.reset()
        events.heard()
      } catch (error) {
        // A link that was let go of, since there is nothing left to read on it, is not lost.
        if (this.partitions.size === 0) continue
        events.lost(error)
        await pause(this.#backoff.next(), closing)
      }
    }
    this.#running = false
  }

  /**
   * All partitions, each time with another one first. An answer has limited room, which the first
   * ones fill.
   */
  #rotated(): Partition[] {
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
    const generations = new Map(asked.map((partition) => [partition, partition.generation]))
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
      // The partition may have been closed or moved while the fetch was under way.
      if (!partition || partition.generation !== generations.get(partition)) continue
      if (answer.error !== 0) this.options.events.refused(partition, answer.error)
      else partition.reader.take(partition, answer)
    }
  }
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`
}

/**
 * One broker of the cluster. A broker answers the requests of one connection in order, so a request
 * behind a fetch that waits for messages waits too. Hence three connections: one for what is to be
 * answered at once, one for all partitions that are read, and one for partitions that have just been
 * opened. Those move to the second when its fetch that is under way has been answered.
 */
export class Node {
  readonly control: BrokerLink
  readonly #links: readonly BrokerLink[]
  readonly #lanes: readonly Lane[]
  readonly #proving: Lane
  readonly #fresh: Lane
  readonly #steady: Lane

  constructor(
    readonly address: Address,
    library: Library,
    bounds: Bounds,
    events: NodeEvents,
    closing: AbortSignal,
  ) {
    const link = () => new BrokerLink(library, address, bounds)
    const [control, beside, main] = [link(), link(), link()]
    const shared = { events, closing }
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
      // A partition that is opened meanwhile has to wait for this fetch.
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
      // The fetch that is under way does not count for it any more; the next lane fetches it again.
      partition.park()
      if (to) to.add(partition)
      else this.add(partition)
    }
  }
}
