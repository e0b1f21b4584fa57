import { isUtf8 } from 'node:buffer'

/** The fields of one Server-Sent Event, before encoding. */
export interface EventFields {
  /** The position. A browser keeps it as `lastEventId`. */
  id?: string | undefined
  /** The event's name. Without one, a browser dispatches `message`. */
  event?: string | undefined
  /** How long a browser is to wait before it reconnects, in milliseconds. */
  retry?: number | undefined
  data: string | Uint8Array
}

/**
 * An event, or several, encoded once for all clients and all kinds of connection.
 *
 * One buffer holds both forms: `chunked` for a bare HTTP/1.1 socket, and `bytes` inside it for all
 * other connections. `bytes` is sliced on demand, since a Buffer object kept per frame would take
 * more memory than the bytes of most frames.
 */
export class Encoded {
  constructor(
    /** The event as one chunk of HTTP/1.1's chunked coding (RFC 9112, section 7.1). */
    readonly chunked: Buffer,
    /** Where in `chunked` the event begins. It ends before the CRLF that ends the chunk. */
    readonly start: number,
    /** The length of the `id:` line. It comes first, so what follows it is the event without id. */
    readonly idLength: number,
  ) {}

  /** How many bytes the event has. */
  get length(): number {
    return this.chunked.length - this.start - CRLF_LENGTH
  }

  /** The event alone. */
  get bytes(): Buffer {
    return this.chunked.subarray(this.start, this.start + this.length)
  }
}

const LINE_END = /\r\n|\r|\n/g
const FORBIDDEN_IN_FIELD = /[\r\n\0]/
const CRLF_LENGTH = 2
const LF = 0x0a
const CR = 0x0d
const HEX_DIGITS = '0123456789abcdef'

/** Whether a payload can be sent as it is: `data:` carries UTF-8 only (WHATWG HTML, 9.2.5). */
export function isSendable(payload: string | Uint8Array): boolean {
  return typeof payload === 'string' || isUtf8(payload)
}

/**
 * Encodes an event (WHATWG HTML, 9.2.5 and 9.2.6). All text of the stream is made in this file.
 *
 * `data` is split at CRLF, CR or LF into several `data:` lines, which a browser joins with LF.
 * Bytes must be UTF-8 ({@link isSendable}). Half of a surrogate pair in a string becomes U+FFFD.
 *
 * @throws RangeError if `id` or `event` holds CR, LF or NUL, with which it could forge fields.
 */
export function encodeEvent({ id, event, retry, data }: EventFields): Encoded {
  let idLine = ''
  if (id !== undefined) {
    refuseForbidden('id', id)
    idLine = `id: ${id}\n`
  }
  let fields = ''
  if (retry !== undefined) fields += `retry: ${retry}\n`
  if (event !== undefined) {
    refuseForbidden('event', event)
    fields += `event: ${event}\n`
  }
  fields += 'data: '

  if (typeof data !== 'string') {
    const payload = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    if (!payload.includes(LF) && !payload.includes(CR)) {
      return frameBytes(idLine, fields, payload)
    }
    data = payload.toString('utf8')
  }
  return frameText(idLine, fields + data.replace(LINE_END, '\ndata: ') + '\n\n')
}

/** Only the time to wait before reconnecting, in milliseconds. A page sees no event. */
export function encodeRetry(retry: number): Encoded {
  return frameText('', `retry: ${retry}\n\n`)
}

/** A comment, which every reader of an event stream ignores. */
export function encodeComment(): Encoded {
  return frameText('', ':\n\n')
}

/** Only a position. A browser stores it and dispatches no event. */
export function encodePosition(id: string): Encoded {
  refuseForbidden('id', id)
  return frameText('', `id: ${id}\n\n`)
}

function refuseForbidden(field: string, value: string): void {
  if (FORBIDDEN_IN_FIELD.test(value)) {
    throw new RangeError(`An event's ${field} can't hold CR, LF or NUL: ${JSON.stringify(value)}.`)
  }
}

function frameText(idLine: string, text: string): Encoded {
  const size = idLine.length + Buffer.byteLength(text)
  const { chunked, start } = allocateChunk(size)
  chunked.write(idLine, start, 'latin1')
  chunked.write(text, start + idLine.length, 'utf8')
  return new Encoded(chunked, start, idLine.length)
}

function frameBytes(idLine: string, fields: string, payload: Buffer): Encoded {
  const head = idLine.length + Buffer.byteLength(fields)
  const size = head + payload.length + 2
  const { chunked, start } = allocateChunk(size)
  chunked.write(idLine, start, 'latin1')
  chunked.write(fields, start + idLine.length, 'utf8')
  payload.copy(chunked, start + head)
  chunked[start + size - 2] = LF
  chunked[start + size - 1] = LF
  return new Encoded(chunked, start, idLine.length)
}

/**
 * Allocates `size` bytes with chunk framing around them.
 *
 * @param passing Whether the buffer is dropped once it is written. Then it comes from Node's shared
 *   pool, which is cheaper. A frame that the history keeps must not: a frame of 100 bytes would
 *   keep the pool's whole slab of 8 KiB, which the byte budget does not count.
 */
export function allocateChunk(size: number, passing = false): { chunked: Buffer; start: number } {
  const digits = Math.max(1, Math.ceil((32 - Math.clz32(size)) / 4))
  const start = digits + CRLF_LENGTH
  const length = start + size + CRLF_LENGTH
  const chunked = passing ? Buffer.allocUnsafe(length) : Buffer.allocUnsafeSlow(length)
  for (let i = digits - 1, rest = size; i >= 0; i--, rest >>>= 4) {
    chunked[i] = HEX_DIGITS.charCodeAt(rest & 0xf)
  }
  chunked[start - 2] = chunked[length - 2] = CR
  chunked[start - 1] = chunked[length - 1] = LF
  return { chunked, start }
}
