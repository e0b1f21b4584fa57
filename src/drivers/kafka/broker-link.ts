import { inTime } from '../../driver-kit/index.js'
import type { Address, Library, Wire } from './wire.js'
import { addressText, UnreadableError } from './wire.js'

/** How long things may take, in milliseconds. */
export interface Bounds {
  /** Connecting, up to where the broker has answered once. */
  connectTimeout: number
  /** Opening a topic, reconnects in between included. */
  subscribeTimeout: number
  /** An answer, beyond what the broker was asked to wait. */
  responseTimeout: number
  /** For how long the broker is asked to wait for messages. */
  maxWait: number
  /** From one question for the cluster's state to the next, when nothing else calls for one. */
  metadataInterval: number
}

/** Opens a connection within `timeout` milliseconds. Where that fails, none is left. */
export async function dial(library: Library, timeout: number, address?: Address): Promise<Wire> {
  const wire = await library.wire(address)
  try {
    const late = () => new Error(`${addressText(wire.address)} gave no answer within ${timeout} ms`)
    await inTime(wire.connect(), timeout, late)
    return wire
  } catch (error) {
    wire.close()
    throw error
  }
}

/** A connection to one broker for one kind of request. It is opened when needed, also after a loss. */
export class BrokerLink {
  #wire: Wire | undefined
  #dialling: Promise<Wire> | undefined
  #closed = false
  /** How often the connection was let go of on purpose. */
  #released = 0

  constructor(
    private readonly library: Library,
    readonly address: Address,
    private readonly bounds: Bounds,
  ) {}

  /** Takes over a connection to this broker that is open already, if it has none. */
  adopt(wire: Wire): boolean {
    if (this.#closed || this.#wire !== undefined || this.#dialling !== undefined) return false
    this.#wire = wire
    return true
  }

  /**
   * Has one request answered. A connection whose answer is late is given up.
   *
   * @param wait For how long the broker was asked to wait before it answers.
   */
  async use<T>(call: (wire: Wire) => Promise<T>, wait = 0, again = true): Promise<T> {
    const released = this.#released
    const known = this.#wire?.alive ? this.#wire : undefined
    const wire = known ?? (await this.#open())
    const timeout = wait + this.bounds.responseTimeout
    let isLate = false
    const late = () => {
      isLate = true
      return new Error(`${addressText(this.address)} gave no answer within ${timeout} ms`)
    }
    try {
      return await inTime(call(wire), timeout, late)
    } catch (error) {
      if (error instanceof UnreadableError) throw error
      this.#drop(wire)
      // A broker closes a connection that was idle for minutes, and the next request finds out.
      const isIdle = again && wire === known && !isLate && released === this.#released
      if (!isIdle) throw error
      return this.use(call, wait, false)
    }
  }

  /** Lets go of the connection. The next use opens one. */
  release(): void {
    this.#released++
    if (this.#wire) this.#drop(this.#wire)
  }

  close(): void {
    this.#closed = true
    this.release()
  }

  #open(): Promise<Wire> {
    if (this.#closed) return Promise.reject(new Error('The connection to Kafka has been closed.'))
    if (this.#wire) this.#drop(this.#wire)
    const released = this.#released
    this.#dialling ??= dial(this.library, this.bounds.connectTimeout, this.address).then(
      (wire) => {
        this.#dialling = undefined
        if (released !== this.#released) {
          wire.close()
          throw new Error('The connection to Kafka is not needed any more.')
        }
        this.#wire = wire
        return wire
      },
      (error: unknown) => {
        this.#dialling = undefined
        throw error
      },
    )
    return this.#dialling
  }

  #drop(wire: Wire): void {
    if (this.#wire === wire) this.#wire = undefined
    wire.close()
  }
}
