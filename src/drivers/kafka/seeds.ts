import { inTime } from './in-time.js'
import { isRefusal } from './reasons.js'
import * as says from './says.js'
import type { Library, Wire } from './wire.js'
import { addressText } from './wire.js'

/** A connection to one of the brokers that were configured, whichever answers. */
export class Seeds {
  #wire: Wire | undefined
  #dialling: Promise<Wire> | undefined
  readonly #open = new Set<Wire>()
  #closed = false

  constructor(
    private readonly library: Library,
    private readonly connectTimeout: number,
  ) {}

  /** @throws Error that names all of them and what is wrong with each. */
  get(): Promise<Wire> {
    if (this.#wire?.alive) return Promise.resolve(this.#wire)
    this.release()
    this.#dialling ??= this.#dial().finally(() => (this.#dialling = undefined))
    return this.#dialling
  }

  /** The connection is somebody else's now. */
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
        if (this.#closed) throw says.closed()
        await inTime(wire.connect(), timeout, () => new Error(`no answer within ${timeout} ms`))
        this.#wire = wire
        return wire
      } catch (error) {
        wire.close()
        if (isRefusal(error)) throw says.refused(error, wire.address)
        tried.set(name, error)
      } finally {
        this.#open.delete(wire)
      }
    }
    throw says.unreachable(tried)
  }

  /** One for each address: the library hands them out in turn. */
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
