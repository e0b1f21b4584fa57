import { ServerResponse } from 'node:http'
import { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import type { Outlet, OutletOwner } from '../delivery/connection.js'
import { WrappedResponse } from './wrapped-response.js'

/** A response of Node's, over HTTP/1 or through HTTP/2's compatibility API. */
export type AnyResponse = ServerResponse | Http2ServerResponse

/**
 * Writes to a response whose headers have been sent.
 *
 * For a plain HTTP/1.1 response it writes chunks straight to the socket, which takes a third less
 * time than `res.write`. Meanwhile it asks the response nothing: Express and others give a response
 * another prototype, and each read of one of its properties then costs more than all else of a write.
 * It calls `res.write` for a response whose `write` other middleware has wrapped (compression,
 * tracing), for HTTP/2, for HTTP/1.0 and for classes other than Node's. Where the first write shows
 * that a wrapped `write` only passes on (see `http/pass-through`), the socket is written to from then on.
 */
export class ResponseOutlet implements Outlet {
  connection: OutletOwner | undefined = undefined
  chunked: boolean
  private target: Writable
  /** Whether a response whose socket is written to has ended: nothing may follow the last chunk. */
  private hasEnded = false
  /** The socket, if the response waits on it for earlier ones (HTTP/1.1 pipelining). */
  private readonly queue: Socket | undefined
  /** Made when the connection is first full; most never are. */
  private onDrain: (() => void) | undefined = undefined
  /** Writes to the response, where the socket must not be written to. */
  private wrapped: WrappedResponse | undefined
  private readonly onClose = () => {
    this.noMoreDrain()
    this.wrapped?.gone()
    this.response.off('close', this.onClose)
    this.queue?.off('close', this.onClose)
    this.connection?.gone()
  }

  constructor(
    private readonly response: AnyResponse,
    /** Ends the stream in place of `response.end()`. */
    private readonly finish?: () => void,
  ) {
    const socket = chunkedSocket(response)
    // A wrapped `end`, such as a session's, is called when the stream ends, and is no matter until then.
    const direct = response.write === ServerResponse.prototype.write ? socket : undefined
    this.chunked = direct !== undefined
    this.target = direct ?? response
    this.wrapped =
      direct === undefined
        ? new WrappedResponse(response, () => this.connection?.drained(), socket)
        : undefined
    response.on('close', this.onClose)
    // Node emits it within `end`.
    if (socket !== undefined) response.once('prefinish', () => (this.hasEnded = true))
    // Node emits no `close` on a response that still waits when its socket closes.
    this.queue = queueOf(response)
    this.queue?.on('close', this.onClose)
    // After an error the response also emits `close`, which `onClose` handles.
    response.on('error', destroyIt)
  }

  get writable(): boolean {
    const { target } = this
    if (this.chunked ? this.hasEnded : this.response.writableEnded) return false
    // Node ends a socket whose peer has sent its last byte, and destroys it once all is written.
    return !target.destroyed && !target.writableEnded
  }

  write(bytes: Buffer): boolean {
    if (this.wrapped !== undefined) return this.writeToWrapped(this.wrapped, bytes)
    const { target } = this
    // `write` may return false although the kernel has taken all bytes.
    if (target.write(bytes) || target.writableLength === 0) return true
    this.awaitDrain()
    return false
  }

  end({ leaving }: { leaving: boolean }): void {
    closeAfter(this.response, leaving)
    if (this.finish === undefined) this.response.end()
    else this.finish()
  }

  destroy(): void {
    this.response.destroy()
    if (this.queue !== undefined && queueOf(this.response) !== undefined) {
      process.nextTick(this.onClose)
    }
  }

  private writeToWrapped(wrapped: WrappedResponse, bytes: Buffer): boolean {
    const takesMore = wrapped.write(bytes)
    const { direct } = wrapped
    if (direct !== undefined) {
      this.wrapped = undefined
      this.target = direct
      this.chunked = true
    }
    return takesMore
  }

  private awaitDrain(): void {
    this.onDrain = () => {
      this.noMoreDrain()
      this.connection?.drained()
    }
    this.target.on('drain', this.onDrain)
  }

  private noMoreDrain(): void {
    if (this.onDrain !== undefined) this.target.off('drain', this.onDrain)
    this.onDrain = undefined
  }
}

/**
 * Closes the network connection after a response's last byte. Otherwise a browser or a proxy sends
 * its next request to this server, and not to the one that has taken this one's place.
 *
 * An HTTP/2 connection carries other requests as well. It is closed only if the server is leaving:
 * the peer is told by GOAWAY, and what is open goes on to its end.
 */
function closeAfter(response: AnyResponse, leaving: boolean): void {
  if (response instanceof ServerResponse) {
    const { socket } = response.req
    response.once('finish', () => socket.destroySoon?.())
  } else if (leaving && response instanceof Http2ServerResponse) {
    response.stream?.session?.close()
  }
}

function destroyIt(this: AnyResponse): void {
  this.destroy()
}

/** The socket on which a response waits for earlier ones (HTTP/1.1 pipelining), or undefined. */
export function queueOf(response: AnyResponse): Socket | undefined {
  return response instanceof ServerResponse && response.socket === null
    ? response.req.socket
    : undefined
}

/** The socket to which a response's bytes go in chunks and at once, or undefined. */
function chunkedSocket(response: AnyResponse): Socket | undefined {
  if (!(response instanceof ServerResponse) || !response.chunkedEncoding) return undefined
  const { socket } = response
  // Bytes that wait in the response (for an earlier one to end) must go out first.
  const waits = socket === null || response.writableLength !== socket.writableLength
  return waits ? undefined : socket
}
