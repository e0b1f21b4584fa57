import type { AnyRequest, AnyResponse } from '../index.js'
import { BodyError, BodyTooLargeError, MediaTypeError, UnifrostError } from '../index.js'

/** Answers in JSON. */
export function answer(response: AnyResponse, status: number, body?: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  response.statusCode = status
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  if (body === undefined) {
    response.end()
    return
  }
  const text = JSON.stringify(body)
  response.setHeader('Content-Type', 'application/json; charset=utf-8')
  response.setHeader('Content-Length', Buffer.byteLength(text))
  response.end(text)
}

/** What the client may see of an error. */
export function errorBody(error: unknown): { code: string; message: string } {
  if (error instanceof UnifrostError && error.expose)
    return { code: error.code, message: error.message }
  const code = error instanceof UnifrostError ? error.code : 'ERR_UNIFROST_INTERNAL'
  return { code, message: 'The server failed. Its log says why.' }
}

/** Answers a request that failed. */
export function answerError(response: AnyResponse, error: unknown): void {
  // An error that must not be shown comes from the middleware as a plain one, with its status.
  const { status, headers } = Object(error) as Partial<UnifrostError>
  if (!response.headersSent) {
    for (const [name, value] of Object.entries(headers ?? {})) response.setHeader(name, value)
  }
  answer(response, Number.isInteger(status) ? status! : 500, { error: errorBody(error) })
}

/** No route has the address. */
export class NoRouteError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_NO_ROUTE'
  readonly status = 404
  constructor(routes: readonly string[]) {
    super(`There is nothing at this address. There is ${routes.join(', ')}.`)
  }
}

/** The path of a request, without its query. */
export function pathOf({ url = '/' }: AnyRequest): string {
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}

const JSON_TYPE = /^application\/(?:[\w.!#$&^-]+\+)?json\s*(?:;|$)/i

/** A request's body, as JSON. @throws MediaTypeError, BodyTooLargeError, BodyError */
export async function jsonOf(request: AnyRequest, maxBytes: number): Promise<unknown> {
  if (!JSON_TYPE.test(request.headers['content-type'] ?? '')) throw new MediaTypeError()
  if (Number(request.headers['content-length'] ?? 0) > maxBytes)
    throw new BodyTooLargeError(maxBytes)
  const chunks: Buffer[] = []
  let size = 0
  // Leaving a `for await` early would destroy the request, and with it the answer's socket.
  await new Promise<void>((resolve, reject) => {
    const broken = () => reject(new BodyError('The body ended before it was complete.'))
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= maxBytes) chunks.push(chunk)
      else reject(new BodyTooLargeError(maxBytes))
    })
    request.once('end', resolve).once('error', broken).once('close', broken)
  })
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new BodyError('The body is not valid JSON in UTF-8.', { cause: error })
  }
}
