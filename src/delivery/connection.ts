import type { Client } from './client.js'
import type { Timer } from '../clock.js'
import type { Encoded } from '../wire/encode.js'

/** Who writes to an outlet. */
export interface OutletOwner {
  /** The outlet takes more again. */
  drained(): void
  /** The outlet is over. */
  gone(): void
}

/** Where a connection writes its bytes: a response of Node's, as a rule. */
export interface Outlet {
  /** The connection that is told `drained` and `gone`. The connection sets it. */
  connection: OutletOwner | undefined
  /** Whether it takes bytes in HTTP/1.1 chunk framing. A write that returns true may change it. */
  readonly chunked: boolean
  /** Whether it takes bytes at all; false once the response has ended. */
  readonly writable: boolean
  /**
   * Takes the bytes in any case.
   *
   * @returns whether it takes more at once. If not, it calls `Connection.drained` when it does.
   */
  write(bytes: Buffer): boolean
  /**
   * Ends the response in order, and the network connection behind it. `Connection.gone` follows.
   *
   * @param options.leaving Whether the server is about to go, so that nothing more should come on
   *   this network connection.
   */
  end(options: { leaving: boolean }): void
  /** Cuts it off. `Connection.gone` follows. */
  destroy(): void
}

/** What a connection tells its Streamer. */
export interface ConnectionHost {
  /** The peer takes no more: bytes wait. */
  stalled(connection: Connection): void
  /** The peer takes again. `stalled` may follow at once, if the waiting bytes are too many. */
  flowing(connection: Connection): void
  /** All waiting bytes are written, and there is room for more. */
  ready(connection: Connection): void
  /** The connection is over. Called once. */
  gone(connection: Connection, reason: DisconnectReason): void
}

/** What a write tells: go on; taken, but wait until `ready`; not taken, the connection is over. */
export type WriteResult = 'ok' | 'full' | 'closed'

/** Why a connection ended. */
export type DisconnectReason =
  /** The peer went away, or the network. */
  | 'dropped'
  /** It took nothing for `slowClientTimeout`. */
  | 'slow'
  /** Another connection took over its client. */
  | 'replaced'
  /** It had lived for `maxConnectionAge`. */
  | 'aged'
  /** The token that opened it has expired. */
  | 'expired'
  /** `reconnect`: its client is to come again. */
  | 'reconnect'
  /** Its client was removed. */
  | 'removed'
  /** The Streamer was closed or drained. */
  | 'closed'

/** Larger batches are cut, so that a slow peer that does take some bytes counts as one that reads. */
export const SLICE = 64 * 1024
/** Shared by all connections whose bytes are all written. */
const NOTHING: readonly Buffer[] = []

/**
 * One open response of a client. It has no queue. It keeps the rest of the one batch that filled
 * it, whose bytes all its readers share, and a goodbye.
 */
export class Connection {
  // The timers are set by `Connections`.
  /** Ends when the next heartbeat is due. */
  beat: Timer | undefined = undefined
  /** Ends at `maxConnectionAge`; after a goodbye, when the peer has had time enough to read it. */
  limit: Timer | undefined = undefined
  /** Ends when the token that opened the connection expires. */
  expiry: Timer | undefined = undefined
  /** Ends when the client's rights are to be looked at again. */
  rights: Timer | undefined = undefined
  /** Ends when the peer has taken nothing for `slowClientTimeout`. */
  patience: Timer | undefined = undefined
  private state: 'open' | 'ending' | 'gone' = 'open'
  private waiting = false
  private rest: readonly Buffer[] = NOTHING
  private memory: ArrayBufferLike | undefined = undefined
  private reason: DisconnectReason = 'dropped'

  constructor(
    readonly client: Client,
    /** The peer's network address, where it is known. */
    readonly address: string | undefined,
    private readonly outlet: Outlet,
    private readonly host: ConnectionHost,
  ) {
    outlet.connection = this
  }

  /** Whether the peer takes no more for now. */
  get full(): boolean {
    return this.waiting
  }

  /**
   * The memory that the bytes which it waits with keep, while it takes no more. Its readers share
   * it, and a slice of it keeps all of it.
   */
  get held(): ArrayBufferLike | undefined {
    return this.memory
  }

  /** Sends an event, or several joined. After `full`, write no more until `ready`. */
  write(encoded: Pick<Encoded, 'chunked' | 'bytes'>): WriteResult {
    if (this.state !== 'open' || !this.outlet.writable) return 'closed'
    this.push(this.outlet.chunked ? encoded.chunked : encoded.bytes)
    return this.waiting ? 'full' : 'ok'
  }

  /** Sends a last event after all that was written, and ends the response. */
  end(reason: DisconnectReason, goodbye?: Encoded): void {
    if (this.state !== 'open') return
    if (goodbye !== undefined) this.write(goodbye)
    this.state = 'ending'
    this.reason = reason
    if (!this.waiting) this.endOutlet()
  }

  /** Cuts it off; what waits is dropped. */
  destroy(reason: DisconnectReason): void {
    if (this.state === 'gone') return
    if (this.state === 'open') this.reason = reason
    this.state = 'ending'
    this.rest = NOTHING
    this.memory = undefined
    this.outlet.destroy()
  }

  /** For the outlet: it takes more again. */
  drained(): void {
    if (!this.waiting || this.state === 'gone') return
    this.waiting = false
    this.host.flowing(this)
    this.memory = undefined
    const rest = this.rest
    this.rest = NOTHING
    for (const bytes of rest) this.push(bytes)
    if (this.waiting) return
    if (this.state === 'ending') this.endOutlet()
    else this.host.ready(this)
  }

  /** For the outlet: it is over. */
  gone(): void {
    if (this.state === 'gone') return
    this.state = 'gone'
    this.rest = NOTHING
    this.memory = undefined
    this.host.gone(this, this.reason)
  }

  private endOutlet(): void {
    this.outlet.end({ leaving: this.reason === 'closed' })
  }

  private push(bytes: Buffer): void {
    if (this.waiting) {
      this.rest = [...this.rest, bytes]
      return
    }
    for (let at = 0; at < bytes.length; at += SLICE) {
      const slice = bytes.length <= SLICE ? bytes : bytes.subarray(at, at + SLICE)
      if (this.outlet.write(slice)) continue
      this.waiting = true
      this.memory = bytes.buffer
      if (at + SLICE < bytes.length) this.rest = [...this.rest, bytes.subarray(at + SLICE)]
      this.host.stalled(this)
      return
    }
  }
}
