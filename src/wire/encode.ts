import { isUtf8 } from 'node:buffer'

/** The fields of one Server-Sent Event, before encoding. */
export interface EventFields {
  /** The position: becomes the browser's `lastEventId`. */
  id?: string | undefined
  /** The event's name. Absent for the unnamed `message` channel. */
  event?: string | undefined
  /** How long a browser waits before it connects again, in milliseconds. */
  retry?: number | undefined
  data: string | Uint8Array
}

/**
 * An event, or several, encoded once for every kind of connection and every client.
 *
 * One buffer holds both shapes, and `bytes` is cut out of it when it is asked for: a second
 * Buffer object kept with each frame would cost more memory than most frames have bytes.
 */
export class Encoded {
  constructor(
    /** The event as one chunk of HTTP/1.1's chunked coding (RFC 9112, section 7.1). */
    readonly chunked: Buffer,
    /** Where in `chunked` the event begins; it ends before the chunk's own line end. */
    readonly start: number,
    /** How much of it the `id:` line takes; it comes first, so the rest is the event without. */
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

/** Whether bytes can be sent as they are: `data:` carries UTF-8 only (WHATWG HTML, 9.2.5). */
export function isSendable(payload: string | Uint8Array): boolean {
  return typeof payload === 'string' || isUtf8(payload)
}

/**
 * The one place where text of the event stream is made (WHATWG HTML, 9.2.5 and 9.2.6).
 *
 * Line ends in `data` (CRLF, CR or LF) become several `data:` lines, which a browser joins by
 * LF. `data` as bytes must be UTF-8 ({@link isSendable}). A lone surrogate in a string becomes
 * U+FFFD, as in every encoder of the web platform.
 *
 * @throws RangeError when `id` or `event` holds CR, LF or NUL: they could forge fields.
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

/** How long to wait before connecting again, in milliseconds, without an event. */
export function encodeRetry(retry: number): Encoded {
  return frameText('', `retry: ${retry}\n\n`)
}

/** A comment, which every reader of an event stream ignores. */
export function encodeComment(): Encoded {
  return frameText('', ':\n\n')
}

/** A position alone: a browser takes it over, and dispatches no event. */
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
 * Memory for `size` bytes with their chunk framing around.
 *
 * @param passing Whether it goes out and is gone: only then it may be cut from Node's shared pool,
 *   which is cheaper. One small frame that stays would keep a whole slab of it, and the history's
 *   byte budget would lie.
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
