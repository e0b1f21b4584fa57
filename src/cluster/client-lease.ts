import type { Client } from '../delivery/client.js'
import type { Revision } from '../directory.js'
import type { ClientRecord } from './record.js'

/** A promise with the functions that settle it. */
export interface Deferred<T> {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (reason: unknown) => void
}

/** This server's hold on one client: what it knows of the client's record in the directory. */
export class ClientLease {
  /** The record's revision; undefined before the record is written. */
  revision: Revision | undefined = undefined
  /** When the record was last written, by the clock. */
  writtenAt = 0
  /** How many requests have been let in whose streams are not open yet. */
  claims = 0
  /** Whether another server may have taken the client since the record was last written. */
  doubted = false
  /** Whether the record is written no more: another server has the client, or the client is over. */
  lost = false
  /** Settles when the client is complete, its topics open. */
  ready: Promise<void> = Promise.resolve()
  /** Settles with the next write, where one is wanted. */
  wanted: Deferred<void> | undefined = undefined
  /** The write that is under way. Never rejects. */
  writing: Promise<void> | undefined = undefined
  /** The last record of a client that this server lets go. */
  last: ClientRecord | undefined = undefined

  constructor(
    readonly client: Client,
    /** Rises with each connection: of two servers' leases the higher one counts. */
    public generation: number,
    /** Fields of the record that a newer version has written. They are written back. */
    readonly rest: Readonly<Record<string, unknown>> = {},
  ) {}

  /** Whether the client has a stream here, or gets one. */
  get connected(): boolean {
    return this.client.connected || this.claims > 0
  }
}

/** As `Promise.withResolvers` makes it, which Node 20 lacks. */
export function deferred(): Deferred<void> {
  let resolve!: () => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
