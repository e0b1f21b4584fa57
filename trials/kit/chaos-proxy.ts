import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** Which way bytes go: `up` to the server, `down` to the client. */
export type Direction = 'up' | 'down'

/**
 * One direction of one connection. It holds at most what its receiver does not take: with a full
 * receiver, a freeze or a throttle it stops reading, so that backpressure reaches the sender.
 */
class Lane {
  /** Bytes in a second. */
  rate = Infinity
  /** Milliseconds that everything arrives later. */
  delay = 0
  /** How many bytes yet are sent one by one, each in a write of its own. */
  split = 0
  private frozen = false
  private swallowing = false
  private readonly queue: { bytes: Buffer; due: number }[] = []
  private queued = 0
  private timer: NodeJS.Timeout | undefined
  private ended = false

  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
  ) {
    from.on('data', (bytes: Buffer) => this.take(bytes))
    from.on('end', () => {
      this.ended = true
      this.pump()
    })
    to.on('drain', () => this.pump())
  }

  freeze(on: boolean): void {
    this.frozen = on
    this.pump()
  }

  /** Reads on, and passes on nothing, not even the end. */
  swallow(): void {
    this.swallowing = true
    this.queue.length = 0
    this.queued = 0
    this.from.resume()
  }

  /** Ends every slowness; what was swallowed stays so. */
  heal(): void {
    this.rate = Infinity
    this.delay = 0
    this.split = 0
    this.freeze(false)
  }

  stop(): void {
    clearTimeout(this.timer)
    this.queue.length = 0
  }

  private take(bytes: Buffer): void {
    if (this.swallowing) return
    this.queue.push({ bytes, due: performance.now() + this.delay })
    this.queued += bytes.length
    this.pump()
  }

  private pump(): void {
    if (this.swallowing || this.to.destroyed) return
    clearTimeout(this.timer)
    while (!this.frozen && this.queue.length > 0 && !this.to.writableNeedDrain) {
      const wait = this.queue[0]!.due - performance.now()
      if (wait > 0) {
        this.later(wait)
        break
      }
      if (!this.sendSome()) break
    }
    if (this.queue.length === 0 && this.ended) this.to.end()
    if (this.frozen || this.queued > 16_384) this.from.pause()
    else if (!this.ended) this.from.resume()
  }

  /** @returns whether more may follow at once. */
  private sendSome(): boolean {
    const { bytes, due } = this.queue[0]!
    // A tenth of a second's worth at a time.
    const most = this.split > 0 ? 1 : Math.max(1, Math.floor(this.rate / 10))
    const piece = bytes.subarray(0, most)
    if (piece.length < bytes.length) this.queue[0] = { bytes: bytes.subarray(piece.length), due }
    else this.queue.shift()
    this.queued -= piece.length
    this.to.write(piece)
    if (this.split > 0) {
      this.split--
      // In a turn of its own, so that it becomes a packet of its own.
      this.later(0)
      return false
    }
    if (this.rate === Infinity) return true
    this.later(100)
    return false
  }

  private later(milliseconds: number): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.pump(), milliseconds)
  }
}

/** One connection through the proxy. */
export class Pair {
  readonly up: Lane
  readonly down: Lane
  /** Whether what happens to one side is kept from the other. */
  vanished = false

  constructor(
    readonly near: Socket,
    readonly far: Socket,
    gone: () => void,
  ) {
    this.up = new Lane(near, far)
    this.down = new Lane(far, near)
    let apart = false
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      socket.setNoDelay(true)
      // What befalls one side befalls the other; `close` follows every error.
      socket.on('error', () => undefined)
      socket.on('close', () => {
        if (this.vanished && !apart) {
          apart = true
          return
        }
        this.up.stop()
        this.down.stop()
        other.destroy()
        gone()
      })
    }
  }

  /** Resets it on both sides. */
  cut(): void {
    this.vanished = false
    this.near.resetAndDestroy()
    this.far.resetAndDestroy()
  }

  /** A peer that is gone without a word: the other side's bytes go nowhere, and nobody says so. */
  vanish(): void {
    this.vanished = true
    this.up.swallow()
    this.down.swallow()
  }

  heal(): void {
    this.up.heal()
    this.down.heal()
  }
}

/** Stands between clients and a server, and can do to each connection what bad networks do. */
export class ChaosProxy {
  private readonly pairs = new Map<number, Pair>()
  private readonly all = new Set<Pair>()

  private constructor(
    private readonly server: Server,
    /** The server's port; it may change when the server is started anew. */
    public target: number,
    private readonly host: string,
  ) {}

  static async start(target: number, host = '127.0.0.1'): Promise<ChaosProxy> {
    const server = createServer({ allowHalfOpen: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const proxy = new ChaosProxy(server, target, host)
    server.on('connection', (near) => proxy.join(near))
    return proxy
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  /** The connection whose client has this local port. */
  of(localPort: number | undefined): Pair | undefined {
    return localPort === undefined ? undefined : this.pairs.get(localPort)
  }

  cutAll(): void {
    for (const pair of this.all) pair.cut()
  }

  healAll(): void {
    for (const pair of this.all) pair.heal()
  }

  async close(): Promise<void> {
    const closed = once(this.server, 'close')
    this.server.close()
    this.cutAll()
    await closed
  }

  private join(near: Socket): void {
    const name = near.remotePort ?? 0
    const far = connect({ port: this.target, host: this.host, allowHalfOpen: true })
    const pair: Pair = new Pair(near, far, () => {
      this.all.delete(pair)
      if (this.pairs.get(name) === pair) this.pairs.delete(name)
    })
    this.pairs.set(name, pair)
    this.all.add(pair)
  }
}
