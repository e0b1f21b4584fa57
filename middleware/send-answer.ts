import type { AnyResponse } from '../src/index.js'
import type { Answer } from './request-context.js'

/** Headers of every answer but a stream. */
export const ANSWER_HEADERS: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
}

/** Sends a complete answer on Node's response, which every framework that takes such middleware has. */
export function sendAnswer(response: AnyResponse, { status, headers = {}, body }: Answer): void {
  response.statusCode = status
  for (const [name, value] of Object.entries({ ...ANSWER_HEADERS, ...headers })) {
    response.setHeader(name, value)
  }
  if (body === undefined) {
    response.end()
    return
  }
  const text = JSON.stringify(body)
  response.setHeader('Content-Type', 'application/json; charset=utf-8')
  response.setHeader('Content-Length', Buffer.byteLength(text))
  response.end(text)
}
