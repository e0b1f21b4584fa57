import type { AnyRequest } from '../src/index.js'
import { BodyError, BodyTooLargeError, MediaTypeError, RequestGoneError } from '../src/index.js'

/** The default of `maxBodyBytes`. */
export const MAX_BODY_BYTES = 64 * 1024

const JSON_TYPE = /^application\/(?:[\w.!#$&^-]+\+)?json\s*(?:;|$)/i

/**
 * A request's JSON body, as a body parser has left it, or read here.
 *
 * @returns undefined if the request has no body.
 * @throws RequestGoneError, MediaTypeError, BodyTooLargeError, BodyError
 */
export async function jsonBody(
  request: AnyRequest,
  parsed: unknown,
  maxBytes: number,
): Promise<unknown> {
  const type = request.headers['content-type']
  // Its `close` is past, so nothing would ever settle what waits for it.
  if (isGone(request)) throw new RequestGoneError()
  const wasRead = request.readableDidRead
  const text = wasRead ? undefined : await read(request, maxBytes)
  if (text === '' || (wasRead && isAbsent(request))) return undefined
  if (type === undefined || !JSON_TYPE.test(type)) throw new MediaTypeError()
  if (text === undefined) {
    if (sizeOf(request, parsed) > maxBytes) throw new BodyTooLargeError(maxBytes)
    return parsed
  }
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new BodyError('The body is not valid JSON.', { cause: error })
  }
}

/**
 * The size of a body that a parser has read: as declared, or as JSON where it was sent in chunks or
 * compressed.
 */
function sizeOf(request: AnyRequest, parsed: unknown): number {
  const { 'content-length': length, 'content-encoding': coding = 'identity' } = request.headers
  const declared = Number(length ?? 0)
  if (length !== undefined && coding === 'identity') return declared
  return Math.max(declared, Buffer.byteLength(JSON.stringify(parsed) ?? ''))
}

/** Whether the request was broken off. `destroyed` is also true once a body was read to its end. */
function isGone(request: AnyRequest): boolean {
  return request.aborted || (request.destroyed && !request.readableEnded)
}

function isAbsent(request: AnyRequest): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  return (length === undefined || length === '0') && coding === undefined
}

async function read(request: AnyRequest, maxBytes: number): Promise<string> {
  const declared = Number(request.headers['content-length'] ?? 0)
  if (declared > maxBytes) throw new BodyTooLargeError(maxBytes)
  const chunks: Buffer[] = []
  let size = 0
  // Leaving a `for await` early would destroy the request, and with it the socket of the answer.
  await new Promise<void>((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= maxBytes) chunks.push(chunk)
      else reject(new BodyTooLargeError(maxBytes))
    })
    request.once('end', resolve)
    request.once('error', () => reject(new BodyError('The body ended before it was complete.')))
    request.once('close', () => reject(new BodyError('The body ended before it was complete.')))
  })
  const body = Buffer.concat(chunks)
  return body.toString('utf8')
}
