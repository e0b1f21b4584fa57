import { inTime } from '../../driver-kit/index.js'
import type { Bounds } from './broker-link.js'
import * as errors from './errors.js'
import { Node } from './node.js'
import type { NodeEvents } from './node.js'
import { Seeds } from './seeds.js'
import type { Address, ClusterState, Library } from './wire.js'
import { addressText } from './wire.js'

/** The brokers of a cluster as far as they are known, and the requests that go to any of them. */
export class Brokers {
  readonly #nodes = new Map<number, Node>()
  readonly #seeds: Seeds

  /** @param closing Aborted when the driver is closed. */
  constructor(
    private readonly library: Library,
    private readonly bounds: Bounds,
    private readonly events: NodeEvents,
    private readonly closing: AbortSignal,
  ) {
    this.#seeds = new Seeds(library, bounds.connectTimeout)
  }

  get(id: number): Node | undefined {
    return this.#nodes.get(id)
  }

  /** The known brokers, for errors. */
  addresses(): string[] {
    return [...this.#nodes.values()].map(({ address }) => addressText(address))
  }

  /**
   * Finds out whether one of the configured brokers lets us in.
   *
   * @param anew Whether to ask one, although some have answered before.
   */
  async connect(anew: boolean): Promise<void> {
    if (anew) this.#seeds.release()
    if (anew || this.#nodes.size === 0) await this.#seeds.get()
  }

  close(): void {
    this.#seeds.close()
    for (const node of this.#nodes.values()) node.close()
  }

  /** Asks the first broker that answers: the known ones, then those that were configured. */
  async metadata(names: readonly string[]): Promise<ClusterState> {
    for (const [id, node] of [...this.#nodes]) {
      try {
        return this.#meet(await node.control.use((wire) => wire.metadata(names)))
      } catch (error) {
        this.closing.throwIfAborted()
        if (errors.isRefusal(error)) throw errors.refused(error, node.address)
        // The broker that failed is asked last the next time.
        if (this.#nodes.delete(id)) this.#nodes.set(id, node)
      }
    }
    const wire = await this.#seeds.get()
    const { responseTimeout } = this.bounds
    try {
      return this.#meet(await inTime(wire.metadata(names), responseTimeout))
    } catch (error) {
      this.#seeds.release()
      throw errors.unreachable(new Map([[addressText(wire.address), error]]))
    }
  }

  #meet(state: ClusterState): ClusterState {
    for (const [id, address] of state.brokers) {
      const known = this.#nodes.get(id)
      if (known && sameAddress(known.address, address)) continue
      known?.close()
      const node = new Node(address, this.library, this.bounds, this.events, this.closing)
      this.#nodes.set(id, node)
    }
    for (const [id, node] of this.#nodes) {
      if (state.brokers.has(id) || !node.idle) continue
      node.close()
      this.#nodes.delete(id)
    }
    const seed = this.#seeds.give()
    const same = [...this.#nodes.values()].find(
      ({ address }) => seed && sameAddress(address, seed.address),
    )
    if (seed && !same?.control.adopt(seed)) seed.close()
    return state
  }

  /**
   * Asks for an offset of each partition: the first that Kafka still has, or the next to be written.
   *
   * @param leaders The broker that leads each partition.
   */
  async offsets(
    topic: string,
    leaders: ReadonlyMap<number, number>,
    which: 'earliest' | 'latest',
  ): Promise<Map<number, bigint>> {
    const byNode = new Map<Node, { topic: string; partition: number }[]>()
    for (const [partition, leader] of leaders) {
      const node = this.#nodes.get(leader)
      if (node === undefined) throw new Error(`broker ${leader} is not known`)
      byNode.set(node, [...(byNode.get(node) ?? []), { topic, partition }])
    }
    const offsets = new Map<number, bigint>()
    const ask = async ([node, partitions]: [Node, { topic: string; partition: number }[]]) => {
      const answers = await node.control
        .use((wire) => wire.offsets(partitions, which))
        .catch((error: unknown) => {
          throw errors.brokerUnreachable(node.address, error)
        })
      for (const { partition, error, offset } of answers) {
        if (error !== 0) throw errors.notThere(topic, error)
        offsets.set(partition, offset)
      }
    }
    await Promise.all([...byNode].map(ask))
    return offsets
  }
}

function sameAddress(one: Address, other: Address): boolean {
  return one.host === other.host && one.port === other.port
}
