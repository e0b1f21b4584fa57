import { retryAfter } from './retry-after.js'
import type { ConnectOptions } from './types.js'

/** A request that was answered, but not with what it asked for. */
export class Refusal extends Error {
  // Declared, and not fields of the class: those are younger than ES2020.
  declare readonly status: number
  declare readonly retryAfter: number | undefined
  declare readonly body: unknown

  constructor(status: number, retryAfter: number | undefined, body: unknown) {
    super(`The server answered ${status}.`)
    Object.assign(this, { status, retryAfter, body })
  }
}

/** Sends JSON, or asks with HEAD how the stream would be answered. */
export async function ask(
  url: string,
  { headers, withCredentials }: ConnectOptions,
  body?: unknown,
): Promise<unknown> {
  const init = {
    method: body === undefined ? 'HEAD' : 'POST',
    headers: {
      ...(await headers?.()),
      ...(body === undefined
        ? { accept: 'text/event-stream' }
        : { 'content-type': 'application/json' }),
    },
    credentials: withCredentials ? ('include' as const) : ('same-origin' as const),
    cache: 'no-store' as const,
    body: body === undefined ? null : JSON.stringify(body),
  }
  const response = await fetch(url, init)
  const text = await response.text()
  const isJson = (response.headers.get('content-type') ?? '').includes('json')
  const answer: unknown = isJson && text !== '' ? JSON.parse(text) : undefined
  if (response.ok) return answer
  throw new Refusal(response.status, retryAfter(response.headers.get('retry-after')), answer)
}
