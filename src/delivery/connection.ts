import type { Client } from './client.js'
import type { Timer } from '../clock.js'
import type { Encoded } from '../wire/encode.js'

/** Where a connection's bytes go. */
export interface Outlet {
  /** Whom to tell `drained` and `gone`. The connection sets it. */
  connection: Connection | undefined
  /** Whether to give it bytes in HTTP/1.1 chunk framing. */
  readonly chunked: boolean
  /** Whether it still takes bytes at all. */
  readonly writable: boolean
  /**
   * Writes. The bytes are taken in any case.
   *
   * @returns whether it takes more at once; if not, `Connection.drained` is called when it does.
   */
  write(bytes: Buffer): boolean
  /** Ends the response in order. `Connection.gone` follows. */
  end(): void
  /** Cuts it off. `Connection.gone` follows. */
  destroy(): void
}

/** Who is told what becomes of a connection. */
export interface ConnectionHost {
  /** It takes no more; bytes wait. */
  stalled(connection: Connection): void
  /** It takes again. `stalled` may follow at once, if what was waiting is too much again. */
  flowing(connection: Connection): void
  /** Everything that waited is written, and there is room for more. */
  ready(connection: Connection): void
  /** It is over. Called once. */
  gone(connection: Connection, reason: DisconnectReason): void
}

/** What a write tells: go on; taken, but wait until `ready`; not taken, it is over. */
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
  /** Its client was removed. */
  | 'removed'
  /** The Streamer was closed or drained. */
  | 'closed'

/** Larger batches are cut, so that a slow peer that does take something is seen to. */
const SLICE = 64 * 1024
/** Shared by all connections with which nothing waits. */
const NOTHING: readonly Buffer[] = []

/**
 * One open response of a client. It keeps no queue: only the rest of the batch that filled it,
 * whose bytes all who get it share, and a goodbye.
 */
export class Connection {
  /** The connections's: when the next heartbeat is due. */
  beat: Timer | undefined = undefined
  /** The connections's: when it has lived long enough, or has had time enough to say goodbye. */
  limit: Timer | undefined = undefined
  /** The connections's: when the token that opened it expires. */
  expiry: Timer | undefined = undefined
  /** The connections's: when it will have taken nothing for too long. */
  patience: Timer | undefined = undefined
  private state: 'open' | 'ending' | 'gone' = 'open'
  private waiting = false
  private rest: readonly Buffer[] = NOTHING
  private reason: DisconnectReason = 'dropped'

  constructor(
    readonly client: Client,
    /** The network address that it comes from, where that is known. */
    readonly address: string | undefined,
    private readonly outlet: Outlet,
    private readonly host: ConnectionHost,
  ) {
    outlet.connection = this
  }

  /** Whether the last write said that it takes no more for now. */
  get full(): boolean {
    return this.waiting
  }

  /** Sends an event, or several joined. What gives `full` was taken; write no more then. */
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
    if (!this.waiting) this.outlet.end()
  }

  /** Cuts it off; what waits is dropped. */
  destroy(reason: DisconnectReason): void {
    if (this.state === 'gone') return
    if (this.state === 'open') this.reason = reason
    this.state = 'ending'
    this.rest = NOTHING
    this.outlet.destroy()
  }

  /** For the outlet: it takes more again. */
  drained(): void {
    if (!this.waiting || this.state === 'gone') return
    this.waiting = false
    this.host.flowing(this)
    const rest = this.rest
    this.rest = NOTHING
    for (const bytes of rest) this.push(bytes)
    if (this.waiting) return
    if (this.state === 'ending') this.outlet.end()
    else this.host.ready(this)
  }

  /** For the outlet: it is over. */
  gone(): void {
    if (this.state === 'gone') return
    this.state = 'gone'
    this.rest = NOTHING
    this.host.gone(this, this.reason)
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
      if (at + SLICE < bytes.length) this.rest = [...this.rest, bytes.subarray(at + SLICE)]
      this.host.stalled(this)
      return
    }
  }
}
