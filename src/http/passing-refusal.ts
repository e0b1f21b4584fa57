import { encodeEvent, encodeOpening } from '../wire/encode.js'
import type { Door } from './door.js'
import { publicError } from './error-response.js'
import type { AnyRequest } from './request.js'
import { lastEventIdOf } from './request.js'
import type { AnyResponse } from './response-outlet.js'
import { STREAM_HEADERS } from './stream-headers.js'

/** Statuses of what passes by itself: too many, the broker is away, the server is about to go. */
const PASSING: ReadonlySet<number> = new Set([429, 502, 503, 504])

/** How long a page waits where no Streamer says so, in milliseconds. */
const USUAL_RETRY = { min: 2_000, max: 5_000 }

/** The whole answer to a request that is refused for the moment. Its status is 200. */
export interface PassingRefusal {
  headers: Record<string, string>
  body: Buffer
}

/**
 * Whether a browser's EventSource sends this request, which sees no status and no header of an
 * answer, and asks never again after any status but 200. By the standard it accepts
 * `text/event-stream` and nothing else, and bypasses the cache. `fetch` does not do the latter
 * unless it is told to, and its caller sees the status.
 */
export function isEventSource({ method, headers }: AnyRequest): boolean {
  const { accept, 'cache-control': cache } = headers
  const takesNothingElse = accept?.trim().toLowerCase() === 'text/event-stream'
  return method === 'GET' && takesNothingElse && /\bno-(cache|store)\b/i.test(cache ?? '')
}

/**
 * Counts the refusal, and makes the answer to a browser's EventSource where the error passes by itself: a stream that says what
 * was wrong and when to come back, and ends. Undefined for others, and for what does not pass: they
 * get the error's status.
 *
 * ```text
 * retry: 3141
 * data: {"error":{"code":"ERR_UNIFROST_SUBSCRIBE","message":"The broker did not open …"}}
 * ```
 *
 * It has no `id:`, so the browser names the position that it has. It asks nobody and keeps nothing,
 * and its connection is closed, so it costs the server no more than an answer with a status.
 *
 * @param isBare Whether it says only when to come back: for pages that take every event for their own.
 */
export function passingRefusal(
  door: Door | undefined,
  request: AnyRequest,
  error: unknown,
  isBare = false,
): PassingRefusal | undefined {
  const { status, body } = publicError(error)
  door?.signals.refused(request, body.error.code)
  if (!PASSING.has(status) || !isEventSource(request)) return undefined
  const retry = door === undefined ? usualRetry() : door.retryAfterRefusal()
  if (retry === undefined) return undefined
  // WebKit appends this stream, too, to the half event at which the one before it broke.
  const opening = { retry, resumes: lastEventIdOf(request) }
  const { bytes } = isBare
    ? encodeOpening(opening)
    : encodeEvent({ ...opening, event: door?.infoEvent, data: JSON.stringify(body) })
  return {
    headers: {
      ...STREAM_HEADERS,
      'Content-Length': String(bytes.length),
      // The next request may find another server.
      ...(request.httpVersionMajor === 1 && { Connection: 'close' }),
    },
    body: bytes,
  }
}

/** Sends the answer of {@link passingRefusal}, if there is one. @returns whether it has. */
export function sendPassingRefusal(
  door: Door | undefined,
  request: AnyRequest,
  response: AnyResponse,
  error: unknown,
  isBare = false,
): boolean {
  if (response.headersSent || response.destroyed) return false
  const refusal = passingRefusal(door, request, error, isBare)
  if (refusal === undefined) return false
  response.statusCode = 200
  for (const [name, value] of Object.entries(refusal.headers)) response.setHeader(name, value)
  response.end(refusal.body)
  return true
}

function usualRetry(): number {
  const { min, max } = USUAL_RETRY
  return Math.round(min + Math.random() * (max - min))
}
