import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { MethodError, NotAcceptableError } from '../errors.js'
import type { OptionCheck } from '../option-checks.js'

/** A request of Node's, over HTTP/1 or through HTTP/2's compatibility API. */
export type AnyRequest = IncomingMessage | Http2ServerRequest

/** The request's query. It comes from the URL, since frameworks differ in `req.query`. */
export function queryOf(request: AnyRequest): URLSearchParams {
  const url = request.url ?? ''
  const mark = url.indexOf('?')
  return new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1))
}

/** The parameter of a position, as it is spelt by pages and libraries: `last_event_id`, `lastEventId`. */
const POSITION_PARAMETER = /^last[-_]?event[-_]?id$/i

/**
 * The position that a client asks to resume from: the header `Last-Event-ID`, which a browser sends
 * when it reconnects, or else the query's `last_event_id` or `lastEventId`; at first the query's `after`.
 */
export function lastEventIdOf(request: AnyRequest): string | undefined {
  const header = request.headers['last-event-id']
  if (typeof header === 'string' && header !== '') return header
  // A page may have written one into its address. A library appends the newer one.
  const named = [...queryOf(request)].filter(([name, value]) => {
    return value !== '' && POSITION_PARAMETER.test(name)
  })
  return named.at(-1)?.[1] ?? afterOf(request)
}

/** The position of the data that a page has loaded: its first stream begins after it. */
export function afterOf(request: AnyRequest): string | undefined {
  return queryOf(request).get('after') || undefined
}

/** Which methods open a stream. */
export interface MethodOptions {
  /**
   * The methods that open a stream: `GET`, with which `HEAD` goes, `POST`, or both, for a page that
   * reads its stream with `fetch`. What is asked for stands in the address either way. Another method
   * gets 405. Default: `['GET']`.
   */
  methods?: readonly StreamMethod[]
}

/** A method that may open a stream. */
export type StreamMethod = 'GET' | 'POST'

const isMethod = (value: unknown) => value === 'GET' || value === 'POST'

/** The check of {@link MethodOptions}. */
export const METHODS_CHECK: OptionCheck = [
  (value) => Array.isArray(value) && value.length > 0 && value.every(isMethod),
  "a list of 'GET', 'POST' or both",
]

/** @throws MethodError, NotAcceptableError if the request can't get a stream. */
export function checkRequest(request: AnyRequest, { methods = ['GET'] }: MethodOptions = {}): void {
  const method = request.method ?? 'GET'
  const allowed = methods.flatMap((one) => (one === 'GET' ? ['GET', 'HEAD'] : [one]))
  if (!allowed.includes(method)) throw new MethodError(method, allowed)
  if (!accepts(request.headers.accept, 'text', 'event-stream')) throw new NotAcceptableError()
}

/** Whether an `Accept` header admits a type (RFC 9110, section 12.5.1). */
export function accepts(header: string | undefined, type: string, subtype: string): boolean {
  if (header === undefined || header.trim() === '') return true
  let best = { precision: -1, admitted: false }
  for (const part of header.split(',')) {
    const [range = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase())
    const precision = [`*/*`, `${type}/*`, `${type}/${subtype}`].indexOf(range)
    if (precision <= best.precision) continue
    const weight = parameters.find((parameter) => /^q\s*=/.test(parameter))?.split('=')[1]
    best = { precision, admitted: weight === undefined || Number(weight) > 0 }
  }
  return best.admitted
}
