import { request } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { request as secureRequest } from 'node:https'
import { checkOptions, number, text } from '../../option-checks.js'
import type { OptionCheck } from '../../option-checks.js'
import { EventParser } from './events.js'
import type { StreamEvent } from './events.js'
import type { AppUnderTest, Served } from './serve.js'
import { serve } from './serve.js'

/** How a stream is asked for. */
export interface StreamOptions {
  /** Default: `GET`. */
  method?: string
  /** Headers of the request, such as `authorization` or `cookie`. Default: `accept` alone. */
  headers?: Readonly<Record<string, string>>
  /** A body, for a `POST`. Default: none. */
  body?: string
  /** The position to go on from, as a browser that reconnects sends it. Default: none. */
  lastEventId?: string
  /** After how long a request without an answer fails, in milliseconds. Default: 5,000. */
  timeout?: number
}

const isRecord = (value: unknown) =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every((one) => typeof one === 'string') &&
  typeof (value as { then?: unknown }).then !== 'function'

const STREAM_OPTIONS = {
  method: text,
  headers: [isRecord, 'an object with a text for each header'],
  body: [(value) => typeof value === 'string', 'a text'],
  lastEventId: text,
  timeout: number(1, 2 ** 31 - 1),
} satisfies Record<keyof StreamOptions, OptionCheck>

/** A stream that a test has opened. */
export interface StreamUnderTest extends AsyncDisposable {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** All that has come, as text. For an answer that is no stream: its body, once `ended`. */
  readonly text: string
  /** All events that have come, the Streamer's own among them. */
  readonly events: readonly StreamEvent[]
  /** The events that `expectEvent` has not given yet. */
  readonly unread: StreamEvent[]
  /** The client's id, once the first message has come: for `streamer.subscribe` and `getClient`. */
  readonly clientId: string | undefined
  /** The position of the last event. */
  readonly lastEventId: string
  /** Whether the response has ended, or was cut. */
  readonly ended: boolean
  /** Settles when something more has come, or the response has ended. */
  more(): Promise<void>
  /**
   * Cuts the connection, as a network does, and opens it again with its position, as a browser does.
   * The new stream is asked for with this one's method, headers and body, unless they are given anew.
   */
  reconnect(options?: StreamOptions): Promise<StreamUnderTest>
  /** Cuts the connection and leaves the server running, for a stream that comes back later. */
  cut(): void
  /** Cuts the connection, and ends the server that was started for it. */
  close(): Promise<void>
}

/**
 * Opens an event stream of an app, over a socket of its own. It resolves with the response's headers,
 * whatever the status; `expectEvent` then waits for events.
 *
 * ```ts
 * const stream = await openStream(app, '/events?topic=news', { headers: { authorization: 'Bearer t' } })
 * driver.publish('news', 'hello')
 * await expectEvent(stream, 'news', 'hello')
 * await stream.close()
 * ```
 *
 * @throws OptionsError; Error if there is no answer within `timeout`.
 */
export async function openStream(
  app: AppUnderTest,
  path = '/events',
  options: StreamOptions = {},
): Promise<StreamUnderTest> {
  checkOptions('openStream', options, STREAM_OPTIONS)
  const served = await serve(app)
  try {
    return await open(served, path, options)
  } catch (error) {
    await served.close()
    throw error
  }
}

async function open(
  served: Served,
  path: string,
  options: StreamOptions,
): Promise<StreamUnderTest> {
  const { lastEventId } = options
  const response = await answerOf(served.url + path, options)
  const parser = new EventParser(lastEventId)
  const events: StreamEvent[] = []
  const unread: StreamEvent[] = []
  const waiting = new Set<() => void>()
  const pieces: Buffer[] = []
  let ended = false
  let clientId: string | undefined
  const wake = () => {
    for (const resolve of waiting) resolve()
    waiting.clear()
  }
  response.on('data', (piece: Buffer) => {
    pieces.push(piece)
    for (const event of parser.feed(piece)) {
      events.push(event)
      unread.push(event)
      clientId ??= clientIdIn(event)
    }
    wake()
  })
  const end = () => {
    ended = true
    wake()
  }
  response.on('error', end)
  response.on('close', end)
  const stream: StreamUnderTest = {
    status: response.statusCode ?? 0,
    headers: response.headers,
    get text() {
      return Buffer.concat(pieces).toString()
    },
    events,
    unread,
    get clientId() {
      return clientId
    },
    get lastEventId() {
      return parser.id
    },
    get ended() {
      return ended
    },
    more: () => (ended ? Promise.resolve() : new Promise((resolve) => waiting.add(resolve))),
    async reconnect(anew = {}) {
      checkOptions('reconnect', anew, STREAM_OPTIONS)
      response.destroy()
      const position = parser.id === '' ? {} : { lastEventId: parser.id }
      return open(served, path, { ...options, ...position, ...anew })
    },
    cut: () => void response.destroy(),
    async close() {
      response.destroy()
      await served.close()
    },
    [Symbol.asyncDispose]: () => stream.close(),
  }
  return stream
}

function answerOf(url: string, options: StreamOptions): Promise<IncomingMessage> {
  const { method = 'GET', headers, body, lastEventId, timeout = 5_000 } = options
  const send = url.startsWith('https:') ? secureRequest : request
  return new Promise((resolve, reject) => {
    const asked = send(url, {
      ...{ method, agent: false },
      headers: {
        accept: 'text/event-stream',
        ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
        ...headers,
      },
    })
    const timer = setTimeout(() => {
      asked.destroy(new Error(`${method} ${url} was not answered within ${timeout} ms.`))
    }, timeout)
    asked.on('response', (response) => {
      clearTimeout(timer)
      resolve(response)
    })
    asked.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    asked.end(body)
  })
}

/** The id in the first message of a stream. */
function clientIdIn({ data }: StreamEvent): string | undefined {
  if (!data.includes('"client_id"')) return undefined
  try {
    const { config } = JSON.parse(data) as { config?: { client_id?: string } }
    return config?.client_id
  } catch {
    // A message of the application's that only looks like it.
    return undefined
  }
}
