import type { Connection } from '../delivery/connection.js'

/**
 * The connections that accept no bytes, in the order in which they stalled, and the memory that
 * their bytes keep.
 *
 * Connections that stall at the same message share its memory, which counts once. Those that stall
 * one after the other each keep a message of their own. An example: 80 connections stall, each at
 * another message of 1 MiB. With `maxBytes` of 8 MiB, the eight that stalled last stay.
 */
export class Stalled {
  /** How many bytes of memory they keep together. */
  bytes = 0
  private readonly held = new Map<Connection, ArrayBufferLike | undefined>()
  private readonly readers = new Map<ArrayBufferLike, number>()
  private relieving = false

  constructor(private readonly maxBytes: number) {}

  get size(): number {
    return this.held.size
  }

  add(connection: Connection): void {
    const memory = connection.held
    this.held.set(connection, memory)
    if (memory === undefined) return
    const readers = this.readers.get(memory) ?? 0
    this.readers.set(memory, readers + 1)
    if (readers === 0) this.bytes += memory.byteLength
    if (this.bytes > this.maxBytes) this.relieveSoon()
  }

  delete(connection: Connection): void {
    const memory = this.held.get(connection)
    this.held.delete(connection)
    if (memory === undefined) return
    const readers = this.readers.get(memory)! - 1
    if (readers > 0) {
      this.readers.set(memory, readers)
      return
    }
    this.readers.delete(memory)
    this.bytes -= memory.byteLength
  }

  /**
   * Ends those that stalled first. By then the event loop has polled the sockets, so that nobody
   * counts as stalled because this process was busy.
   */
  private relieveSoon(): void {
    if (this.relieving) return
    this.relieving = true
    setImmediate(() => {
      this.relieving = false
      for (const connection of this.held.keys()) {
        if (this.bytes <= this.maxBytes) return
        this.delete(connection)
        connection.destroy('slow')
      }
    })
  }
}
