import { isUint8Array } from 'node:util/types'
import type { AnyRequest } from '../src/index.js'
import {
  BodyError,
  BodyTooLargeError,
  MediaTypeError,
  OptionsError,
  RequestGoneError,
} from '../src/index.js'

/** The default of `maxBodyBytes`. */
export const MAX_BODY_BYTES = 64 * 1024

const JSON_TYPE = /^application\/(?:[\w.!#$&^-]+\+)?json\s*(?:;|$)/i

/**
 * A request's JSON body, as a body parser has left it, or read here.
 *
 * @param parsed What a parser has left: the value, or the body's text or bytes
 *   (`express.text`, `express.raw`).
 * @returns undefined if the request has no body.
 * @throws RequestGoneError, MediaTypeError, BodyTooLargeError, BodyError; OptionsError if somebody
 *   has read the body and left nothing of it
 */
export async function jsonBody(
  request: AnyRequest,
  parsed: unknown,
  maxBytes: number,
): Promise<unknown> {
  // Its `close` is past, so nothing would ever settle what waits for it.
  if (isGone(request)) throw new RequestGoneError()
  if (isAbsent(request)) return undefined
  if (isBodyLost(request, parsed)) throw lostBody()
  const wasRead = isRead(request)
  const text = wasRead ? undefined : await read(request, maxBytes)
  if (text === '') return undefined
  const type = request.headers['content-type']
  if (type === undefined || !JSON_TYPE.test(type)) throw new MediaTypeError()
  if (text !== undefined) return parse(text)
  if (sizeOf(request, parsed) > maxBytes) throw new BodyTooLargeError(maxBytes)
  if (isUint8Array(parsed)) return parse(Buffer.from(parsed).toString('utf8'))
  return typeof parsed === 'string' ? parse(parsed) : parsed
}

/** Whether somebody has read the request's body, or begun to, and has left nothing of it. */
export function isBodyLost(request: AnyRequest, parsed: unknown): boolean {
  return parsed === undefined && !isAbsent(request) && isRead(request)
}

function lostBody(): OptionsError {
  return new OptionsError(
    "Other middleware has read the request's body, and left no body in its place. Put a body " +
      'parser such as express.json() there, or this middleware before the one that reads.',
  )
}

function parse(text: string): unknown {
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
  if (isUint8Array(parsed)) return Math.max(declared, parsed.length)
  return Math.max(declared, Buffer.byteLength(JSON.stringify(parsed) ?? ''))
}

/** Whether the request was broken off. `destroyed` is also true once a body was read to its end. */
function isGone(request: AnyRequest): boolean {
  return request.aborted || (request.destroyed && !request.readableEnded)
}

/** Whether the body was read, at least in part. A body of no bytes was read when it has ended. */
function isRead(request: AnyRequest): boolean {
  return request.readableDidRead || request.readableEnded
}

/**
 * Whether the request has no body. Over HTTP/1 its headers say so. Over HTTP/2 a body may come
 * without any header, and the frame of the headers says whether it is the last one. A body in
 * chunks may turn out to have no bytes.
 */
function isAbsent(request: AnyRequest): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  if (length === '0' || (request.readableEnded && !request.readableDidRead)) return true
  if (length !== undefined || coding !== undefined) return false
  return 'stream' in request ? request.stream.endAfterHeaders : true
}

async function read(request: AnyRequest, maxBytes: number): Promise<string> {
  const declared = Number(request.headers['content-length'] ?? 0)
  if (declared > maxBytes) throw new BodyTooLargeError(maxBytes)
  const chunks: Buffer[] = []
  let size = 0
  // Leaving a `for await` early would destroy the request, and with it the socket of the answer.
  await new Promise<void>((resolve, reject) => {
    request.on('data', (chunk: Buffer | string) => {
      // Text, where other middleware has called `setEncoding`.
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
      size += bytes.length
      if (size <= maxBytes) chunks.push(bytes)
      else reject(new BodyTooLargeError(maxBytes))
    })
    request.once('end', resolve)
    request.once('error', () => reject(new BodyError('The body ended before it was complete.')))
    request.once('close', () => reject(new BodyError('The body ended before it was complete.')))
    // Middleware that waits for something before it reads may have paused the request.
    request.resume()
  })
  return Buffer.concat(chunks).toString('utf8')
}
