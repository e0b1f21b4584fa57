import { EventEmitter } from 'node:events'
import type { AnyRequest } from '../../src/http/request.js'
import type { AnyResponse } from '../../src/http/response-outlet.js'

/**
 * A response without a network: what is written goes into a buffer of the process's, from there
 * into the network as fast as `window` says, and from there to the peer when the test says so.
 * Backpressure is that of Node's streams.
 */
export class FakeResponse extends EventEmitter {
  statusCode = 200
  headersSent = false
  destroyed = false
  writableEnded = false
  readonly headers = new Map<string, string>()
  /** Bytes that wait in the process. */
  writableLength = 0
  /** The most that have waited. */
  mostWaiting = 0
  /** Whether `close` has been emitted. */
  closed = false
  /** Whether the peer has read all the time. */
  keptReading = true
  /** How many bytes the network takes yet. Infinity for a peer that reads. */
  private window = Infinity
  private needDrain = false
  private readonly waiting: Buffer[] = []
  private readonly inFlight: Buffer[] = []

  constructor(private readonly highWaterMark = 16_384) {
    super()
  }

  /** As a parameter of `Streamer.handle`. */
  get asResponse(): AnyResponse {
    return this as unknown as AnyResponse
  }

  setHeader(name: string, value: string | number): void {
    this.headers.set(name.toLowerCase(), String(value))
  }

  flushHeaders(): void {
    this.headersSent = true
  }

  write(bytes: Uint8Array): boolean {
    if (this.destroyed || this.writableEnded) return false
    this.waiting.push(Buffer.from(bytes))
    this.writableLength += bytes.length
    // As Node's streams do, also where the network then takes everything at once.
    const more = this.writableLength < this.highWaterMark
    if (!more) this.needDrain = true
    this.pump()
    this.mostWaiting = Math.max(this.mostWaiting, this.writableLength)
    if (!more) process.nextTick(() => this.drain())
    return more
  }

  end(text?: string): void {
    if (this.writableEnded) return
    if (text !== undefined) this.write(Buffer.from(text))
    this.writableEnded = true
    if (this.writableLength === 0) this.closeSoon()
  }

  /** Also what happens when the peer or the network breaks the connection. */
  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.waiting.length = 0
    this.writableLength = 0
    this.closeSoon()
  }

  /** The peer stops reading, and all buffers of the network are full. */
  stopReading(): void {
    this.keptReading = false
    this.window = 0
  }

  /** The network takes so many bytes more; Infinity for all from now on. */
  read(bytes: number): void {
    if (this.destroyed) return
    this.window += bytes
    this.pump()
    if (this.window !== Infinity) this.window = 0
    this.drain()
  }

  /** How many bytes are in the network. */
  get inFlightBytes(): number {
    return this.inFlight.reduce((sum, { length }) => sum + length, 0)
  }

  /** Takes bytes out of the network, at the peer's end. */
  receive(count = Infinity): Buffer {
    const parts: Buffer[] = []
    while (count > 0) {
      const first = this.inFlight.shift()
      if (first === undefined) break
      const part = first.subarray(0, count)
      if (part.length < first.length) this.inFlight.unshift(first.subarray(part.length))
      parts.push(part)
      count -= part.length
    }
    return Buffer.concat(parts)
  }

  private pump(): void {
    while (this.window > 0) {
      const first = this.waiting.shift()
      if (first === undefined) return
      const part = first.subarray(0, this.window)
      if (part.length < first.length) this.waiting.unshift(first.subarray(part.length))
      this.inFlight.push(part)
      this.window -= part.length
      this.writableLength -= part.length
    }
  }

  private drain(): void {
    if (this.writableLength > 0 || this.destroyed) return
    if (this.writableEnded) this.closeSoon()
    else if (this.needDrain) {
      this.needDrain = false
      this.emit('drain')
    }
  }

  private closeSoon(): void {
    process.nextTick(() => {
      if (this.closed) return
      this.closed = true
      this.destroyed = true
      this.emit('close')
    })
  }
}

/** A request to go with it. */
export function fakeRequest(
  id: string | undefined,
  lastEventId?: string,
  more: Partial<AnyRequest> = {},
): AnyRequest {
  const request = {
    method: 'GET',
    url: id === undefined ? '/' : `/?id=${encodeURIComponent(id)}`,
    headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
    httpVersionMajor: 2,
    destroyed: false,
    socket: { destroyed: false },
    ...more,
  }
  return request as unknown as AnyRequest
}
