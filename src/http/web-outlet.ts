import type { Outlet, OutletOwner } from '../delivery/connection.js'

/** How many bytes wait for a reader before it counts as one that takes no more. */
const ROOM = 16 * 1024

/**
 * Writes to the body of a fetch `Response`.
 *
 * The body's own queue is empty (`highWaterMark: 0`): it asks for bytes when its reader does, so what
 * is not read stays here, where it can be counted. A reader that comes back for more has dealt with
 * what it got before; after `end`, that is when the body closes.
 */
export class WebOutlet implements Outlet {
  connection: OutletOwner | undefined = undefined
  readonly chunked = false
  readonly body: ReadableStream<Uint8Array>
  private controller!: ReadableStreamDefaultController<Uint8Array>
  private state: 'open' | 'ending' | 'over' = 'open'
  private waiting: Buffer[] = []
  private size = 0
  /** Whether the reader waits for bytes. */
  private asked = false
  private full = false

  /** @param onClose Called once, when the body is over. */
  constructor(private readonly onClose: () => void) {
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.controller = controller),
        pull: () => this.pull(),
        cancel: () => this.over(),
      },
      { highWaterMark: 0 },
    )
  }

  get writable(): boolean {
    return this.state === 'open'
  }

  write(bytes: Buffer): boolean {
    if (this.state === 'over') return true
    this.waiting.push(bytes)
    this.size += bytes.length
    if (this.asked) this.hand()
    this.full = this.size >= ROOM
    return !this.full
  }

  end(): void {
    if (this.state !== 'open') return
    this.state = 'ending'
    if (this.asked) this.close()
  }

  /** Fails the body, so that the server does not end the response in order. */
  destroy(): void {
    if (this.state === 'over') return
    this.controller.error(new Error('The stream was cut off.'))
    queueMicrotask(() => this.over())
  }

  /** The reader has left. A failure would be logged as one of the server's. */
  leave(): void {
    if (this.state === 'over') return
    this.asked = false
    this.controller.close()
    this.over()
  }

  private pull(): void {
    if (this.size > 0) this.hand()
    else if (this.state === 'ending') this.close()
    else this.asked = true
    if (!this.full) return
    this.full = false
    this.connection?.drained()
  }

  /**
   * Hands all that waits to the reader, as a copy: a reader may do with a chunk what it likes, also
   * take its memory away (transfer), and clients share ours.
   */
  private hand(): void {
    const chunk = new Uint8Array(this.size)
    let at = 0
    for (const bytes of this.waiting) {
      chunk.set(bytes, at)
      at += bytes.length
    }
    this.waiting = []
    this.size = 0
    this.asked = false
    this.controller.enqueue(chunk)
  }

  private close(): void {
    this.asked = false
    this.controller.close()
    queueMicrotask(() => this.over())
  }

  private over(): void {
    if (this.state === 'over') return
    this.state = 'over'
    this.waiting = []
    this.size = 0
    this.connection?.gone()
    this.onClose()
  }
}
