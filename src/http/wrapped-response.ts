import { EventEmitter } from 'node:events'
import { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { SLICE } from '../delivery/connection.js'
import { tryWrite } from './pass-through.js'

type AnyResponse = ServerResponse | Http2ServerResponse

/**
 * Writes to a response whose methods other middleware may have replaced: to compress what is
 * written, to record it, to count it.
 */
export class WrappedResponse {
  /** The socket, once the first write has shown that nobody misses what is written to it instead. */
  direct: Socket | undefined = undefined
  private listens = false

  /**
   * @param drained Is called when the response may take more again. That may be too early.
   * @param untried The socket, if the response's bytes go there in chunks and at once.
   */
  constructor(
    private readonly response: AnyResponse,
    private readonly drained: () => void,
    private untried: Socket | undefined,
  ) {}

  /** @returns whether it takes more at once. If not, `drained` is called. */
  write(bytes: Buffer): boolean {
    const { response, untried } = this
    this.untried = undefined
    const { wrote, passedOn } =
      untried === undefined
        ? { wrote: (response as Writable).write(bytes) as unknown, passedOn: false }
        : tryWrite(response as ServerResponse, untried, bytes)
    // What compresses keeps the bytes until it is told to let them go.
    const { flush } = response as { flush?: unknown }
    if (typeof flush === 'function' && flush !== NODES_FLUSH) flush.call(response)
    const needsDrain = this.needsDrain(wrote)
    if (!needsDrain && (wrote !== false || !isIntercepted(response))) {
      // Only after the first write, if it was a whole batch: what is left of a batch, or waits, has
      // no chunk framing.
      if (passedOn && bytes.length < SLICE) this.direct = untried
      return true
    }
    this.listen()
    // The answer may be that of a buffer in between, which has a `drain` of its own, or mean
    // nothing. So it is believed for one turn of the event loop.
    if (!needsDrain) setImmediate(() => this.drained())
    return false
  }

  /** It is over: nobody waits for it any more. */
  gone(): void {
    if (!this.listens) return
    EventEmitter.prototype.off.call(this.response, 'drain', this.drained)
    this.response.off('drain', this.drained)
  }

  /**
   * Whether the response itself waits for its peer. What `write` answers does not say: one that was
   * replaced may answer nothing, or always the same.
   */
  private needsDrain(wrote: unknown): boolean {
    const { response } = this
    const { writableNeedDrain: needsDrain } = response as Partial<Writable>
    // HTTP/2's compatibility response does not say, and nor do many mocked ones.
    return (needsDrain ?? wrote === false) && response.writableLength !== 0
  }

  private listen(): void {
    if (this.listens) return
    this.listens = true
    const { response, drained } = this
    response.on('drain', drained)
    // Where `on` was replaced, that was the `drain` of the buffer in between.
    if (isIntercepted(response)) EventEmitter.prototype.on.call(response, 'drain', drained)
  }
}

/** A method of Node's that has the name, in some versions, is another one. */
const NODES_FLUSH = (ServerResponse.prototype as { flush?: unknown }).flush

function isIntercepted(response: AnyResponse): boolean {
  return response instanceof ServerResponse && response.on !== EventEmitter.prototype.on
}
