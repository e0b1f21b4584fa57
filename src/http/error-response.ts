import { ServerResponse, STATUS_CODES } from 'node:http'
import { isExposed, UnifrostError } from '../errors.js'
import type { AnyResponse } from './response-outlet.js'

/** Answers a failed request, in JSON that holds only what the client may see. */
export function sendError(response: AnyResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    // One that has ended may still send its last bytes.
    if (!response.writableEnded) response.destroy()
    return
  }
  const { status, headers, body } = publicError(error)
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  const text = JSON.stringify(body)
  response.setHeader('Content-Type', 'application/json; charset=utf-8')
  response.setHeader('Content-Length', Buffer.byteLength(text))
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  // The next request may find another server.
  const isLeaving = body.error.code === 'ERR_UNIFROST_CLOSED'
  if (isLeaving && response instanceof ServerResponse) response.setHeader('Connection', 'close')
  response.end(text)
}

/** The parts of an error that the client may see. */
export function publicError(error: unknown): {
  status: number
  headers: Record<string, string>
  body: { error: { code: string; message: string } }
} {
  if (!(error instanceof UnifrostError) && isExposed(error)) {
    const { status, message, headers = {} } = error
    return { status, headers, body: { error: { code: 'ERR_UNIFROST_REFUSED', message } } }
  }
  const ours = error instanceof UnifrostError ? error : undefined
  const status = ours?.status ?? 500
  const code = ours?.code ?? 'ERR_UNIFROST_INTERNAL'
  const message = ours?.expose ? ours.message : (STATUS_CODES[status] ?? 'Error')
  return { status, headers: ours?.headers ?? {}, body: { error: { code, message } } }
}
