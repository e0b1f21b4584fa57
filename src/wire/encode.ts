import { isUtf8 } from 'node:buffer'
import { CONNECTION_EVENT } from '../event-names.js'

/** The fields of one Server-Sent Event, before encoding. */
export interface EventFields {
  /** The position. A browser keeps it as `lastEventId`. */
  id?: string | undefined
  /** The event's name. Without one, a browser dispatches `message`. */
  event?: string | undefined
  /** How long a browser is to wait before it reconnects, in milliseconds. */
  retry?: number | undefined
  /**
   * For the first event of a stream: the position that its reader has named. It comes ahead of the
   * event, where it can't forge a field.
   */
  resumes?: string | undefined
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
    /** The length of the `id:` line, which is the last one before the empty line. */
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
const LINE_BREAK = /[\r\n]/
const FORBIDDEN_IN_FIELD = /[\r\n\0]/
/** What a position of ours is made of: visible ASCII. */
const REPEATABLE = /^[\x21-\x7e]+$/
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
export function encodeEvent({ id, event, retry, resumes, data }: EventFields): Encoded {
  // Many readers count an id as soon as they read it. So it comes last: whoever has it has the data.
  let idLine = ''
  if (id !== undefined) {
    refuseForbidden('id', id)
    idLine = `id: ${id}\n`
  }
  let fields = resumes === undefined ? '' : resumption(resumes)
  if (retry !== undefined) fields += `retry: ${retry}\n`
  if (event !== undefined) {
    refuseForbidden('event', event)
    fields += `event: ${event}\n`
  }
  fields += 'data: '

  if (typeof data !== 'string') {
    const payload = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    if (!payload.includes(LF) && !payload.includes(CR)) {
      return frameBytes(fields, payload, idLine)
    }
    data = payload.toString('utf8')
  }
  return frameText(fields + data.replace(LINE_END, '\ndata: ') + '\n', idLine)
}

/**
 * Encodes events that are written together, joined. It takes less than to encode each alone, since
 * only the whole gets a buffer.
 *
 * @throws RangeError as {@link encodeEvent} does.
 */
export function encodeEvents(
  events: Iterable<EventFields & { data: string; resumes?: never }>,
): Encoded {
  let text = ''
  for (const { id, event, retry, data } of events) {
    if (retry !== undefined) text += `retry: ${retry}\n`
    if (event !== undefined) {
      refuseForbidden('event', event)
      text += `event: ${event}\n`
    }
    text += LINE_BREAK.test(data)
      ? `data: ${data.replace(LINE_END, '\ndata: ')}\n`
      : `data: ${data}\n`
    if (id !== undefined) {
      refuseForbidden('id', id)
      text += `id: ${id}\n`
    }
    text += '\n'
  }
  return frameBare(text, 0, true)
}

/**
 * A comment, which every reader of an event stream ignores. It ends with its line: some readers take
 * an empty line behind it for an empty message.
 */
export function encodeComment(): Encoded {
  return frameBare(':\n')
}

/**
 * What a stream begins with that says nothing: where its reader is, and when to come back. No event is
 * dispatched of it.
 */
export function encodeOpening({ resumes, retry }: Pick<EventFields, 'resumes' | 'retry'>): Encoded {
  const lines = resumes === undefined ? '' : resumption(resumes)
  return frameBare(retry === undefined ? lines : `${lines}retry: ${retry}\n\n`)
}

/** Only a position. A browser stores it and dispatches no event. */
export function encodePosition(id: string): Encoded {
  refuseForbidden('id', id)
  return frameText(`event: ${CONNECTION_EVENT}\n`, `id: ${id}\n`)
}

/**
 * The lines with which a stream begins whose reader has named a position.
 *
 * WebKit keeps the half of an event at which a stream broke, and appends the next stream to it. The
 * comment ends the half line, the name takes the half event to nobody, and the id puts the reader
 * back to where it says that it is. An example: the stream broke in `id: x-7`, and the reader, which
 * has x-6, would name x-7 from then on. By the standard, all this says nothing.
 */
function resumption(position: string): string {
  const id = REPEATABLE.test(position) ? `id: ${position}\n` : ''
  return `:\nevent: ${CONNECTION_EVENT}\n${id}\n`
}

function refuseForbidden(field: string, value: string): void {
  if (FORBIDDEN_IN_FIELD.test(value)) {
    throw new RangeError(`An event's ${field} can't hold CR, LF or NUL: ${JSON.stringify(value)}.`)
  }
}

/** @param fields The event's other lines, each with its end. */
function frameText(fields: string, idLine: string): Encoded {
  return frameBare(fields + idLine + '\n', idLine.length)
}

function frameBare(text: string, idLength = 0, passing = false): Encoded {
  const { chunked, start } = allocateChunk(Buffer.byteLength(text), passing)
  chunked.write(text, start, 'utf8')
  return new Encoded(chunked, start, idLength)
}

/** @param fields The lines before the payload, and `data: `. */
function frameBytes(fields: string, payload: Buffer, idLine: string): Encoded {
  const head = Buffer.byteLength(fields)
  const { chunked, start } = allocateChunk(head + payload.length + idLine.length + 2)
  chunked.write(fields, start, 'utf8')
  payload.copy(chunked, start + head)
  const end = start + head + payload.length
  chunked[end] = LF
  chunked.write(idLine, end + 1, 'latin1')
  chunked[end + 1 + idLine.length] = LF
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
