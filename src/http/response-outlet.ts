import { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import type { Connection, Outlet } from '../delivery/connection.js'

/** A response of Node's, over HTTP/1 or through HTTP/2's compatibility API. */
export type AnyResponse = ServerResponse | Http2ServerResponse

/**
 * Writes to a response whose headers have been sent.
 *
 * A plain HTTP/1.1 response gets its bytes straight on its socket, already in chunk framing,
 * which costs a third less than `res.write`. A response that anybody has wrapped (compression,
 * tracing), HTTP/2, HTTP/1.0 and foreign ones take `res.write`.
 */
export class ResponseOutlet implements Outlet {
  connection: Connection | undefined = undefined
  readonly chunked: boolean
  private readonly target: Writable
  /** The connection of a response that waits in it behind another one. */
  private readonly queue: Socket | undefined
  /** Made when it is first needed: most connections are never full. */
  private onDrain: (() => void) | undefined = undefined
  private readonly onClose = () => {
    this.noMoreDrain()
    this.response.off('close', this.onClose)
    this.queue?.off('close', this.onClose)
    this.connection?.gone()
  }

  constructor(
    private readonly response: AnyResponse,
    /** Ends the response, where that is not simply its own `end`. */
    private readonly finish?: () => void,
  ) {
    const socket = plainSocket(response)
    this.chunked = socket !== undefined
    this.target = socket ?? response
    response.on('close', this.onClose)
    // Node tells a response whose turn never came nothing of its end.
    this.queue = queueOf(response)
    this.queue?.on('close', this.onClose)
    // A broken response also closes, and that is what counts.
    response.on('error', destroyIt)
  }

  get writable(): boolean {
    return !this.response.writableEnded && !this.target.destroyed
  }

  write(bytes: Buffer): boolean {
    // `write` may answer false for bytes that the kernel took whole.
    if (this.target.write(bytes) || this.target.writableLength === 0) return true
    this.awaitDrain()
    return false
  }

  end(): void {
    if (this.finish === undefined) this.response.end()
    else this.finish()
  }

  destroy(): void {
    this.response.destroy()
    if (this.queue !== undefined && queueOf(this.response) !== undefined) {
      process.nextTick(this.onClose)
    }
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

function destroyIt(this: AnyResponse): void {
  this.destroy()
}

/** The connection in which a response waits for its turn behind others (HTTP/1.1's pipelining). */
function queueOf(response: AnyResponse): Socket | undefined {
  return response instanceof ServerResponse && response.socket === null
    ? response.req.socket
    : undefined
}

/** The socket of a response that nothing stands in front of, or undefined. */
function plainSocket(response: AnyResponse): Writable | undefined {
  if (!(response instanceof ServerResponse)) return undefined
  const { socket } = response
  const untouched =
    response.write === ServerResponse.prototype.write &&
    response.end === ServerResponse.prototype.end
  // With another response before it in the pipeline, its bytes still wait in the response.
  const waiting = socket === null || response.writableLength !== socket.writableLength
  if (!untouched || waiting || !response.chunkedEncoding) return undefined
  return socket
}
