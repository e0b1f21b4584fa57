import type { Client } from '../delivery/client.js'
import type { Revision } from '../directory.js'
import type { ClientRecord } from './record.js'

/** A promise with the functions that settle it. */
export interface Deferred<T> {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (reason: unknown) => void
}

/** A client of this server, and what the server knows of its record in the directory. */
export class ClientLease {
  /** The record's revision; undefined before the record is written. */
  revision: Revision | undefined = undefined
  /** When the record was last written, by the clock. */
  writtenAt = 0
  /** The number of admitted requests whose streams are not open yet. */
  claims = 0
  /** Whether another server may have taken the client since the record was last written. */
  doubted = false
  /** Whether the record is no longer written: another server has the client, or it was removed. */
  lost = false
  /** Settles when the client's position is known and its topics are open. */
  ready: Promise<void> = Promise.resolve()
  /**
   * The server that had the client before, when it was taken over, by the clock, and whether that
   * server has let it go for sure. Undefined if the client was made here.
   */
  former: { server: string; at: number; letGo: Promise<boolean> } | undefined = undefined
  /** Set while a write is requested and has not begun. It settles with that write. */
  wanted: Deferred<void> | undefined = undefined
  /** The write in progress. Never rejects. */
  writing: Promise<void> | undefined = undefined
  /** The record to write in place of the client's own, if this server gives the client up. */
  last: ClientRecord | undefined = undefined

  constructor(
    readonly client: Client,
    /** Rises with each connection. If two servers hold the client, the higher one counts. */
    public generation: number,
    /** The record's fields that a newer version has written. They are written back unchanged. */
    readonly rest: Readonly<Record<string, unknown>> = {},
  ) {}

  /** Whether the client has a stream here, or gets one. */
  get connected(): boolean {
    return this.client.connected || this.claims > 0
  }
}

/** Like `Promise.withResolvers`, which Node 20 lacks. */
export function deferred(): Deferred<void> {
  let resolve!: () => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
