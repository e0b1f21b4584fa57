import { closedError, inTime } from '../../driver-kit/index.js'
import * as errors from './errors.js'
import type { Library, Wire } from './wire.js'
import { addressText } from './wire.js'

/** A connection to the first of the configured brokers that answers. */
export class Seeds {
  #wire: Wire | undefined
  #dialling: Promise<Wire> | undefined
  readonly #open = new Set<Wire>()
  #closed = false

  constructor(
    private readonly library: Library,
    private readonly connectTimeout: number,
  ) {}

  /** @throws Error that names each configured broker and what is wrong with it. */
  get(): Promise<Wire> {
    if (this.#wire?.alive) return Promise.resolve(this.#wire)
    this.release()
    this.#dialling ??= this.#dial().finally(() => (this.#dialling = undefined))
    return this.#dialling
  }

  /** Hands the connection over: it is not closed here any more. */
  give(): Wire | undefined {
    const wire = this.#wire
    this.#wire = undefined
    return wire
  }

  release(): void {
    this.give()?.close()
  }

  close(): void {
    this.#closed = true
    this.release()
    for (const wire of this.#open) wire.close()
  }

  async #dial(): Promise<Wire> {
    const wires = await this.#all()
    const timeout = Math.ceil(this.connectTimeout / wires.size)
    const tried = new Map<string, unknown>()
    for (const [name, wire] of wires) {
      this.#open.add(wire)
      try {
        if (this.#closed) throw closedError('Kafka')
        await inTime(wire.connect(), timeout)
        this.#wire = wire
        return wire
      } catch (error) {
        wire.close()
        if (errors.isRefusal(error)) throw errors.refused(error, wire.address)
        tried.set(name, error)
      } finally {
        this.#open.delete(wire)
      }
    }
    throw errors.unreachable(tried)
  }

  /** One connection for each address. The library goes through the addresses in a circle. */
  async #all(): Promise<Map<string, Wire>> {
    const wires = new Map<string, Wire>()
    for (;;) {
      const wire = await this.library.wire()
      const name = addressText(wire.address)
      if (wires.has(name)) return wires
      wires.set(name, wire)
    }
  }
}
