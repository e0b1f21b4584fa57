import { request } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { until } from './until.js'

/** One event as a browser would dispatch it. */
export interface ReceivedEvent {
  /** The event's name: `message` where the stream gives none. */
  event: string
  data: string
  /** The last event id at its dispatch. */
  id: string
}

/** A stream that was asked for, and what has come of it so far. */
export interface EventStream {
  status: number
  headers: IncomingHttpHeaders
  /** Everything received, as text. */
  readonly text: string
  readonly events: readonly ReceivedEvent[]
  /** The same as JSON, of the events on the `message` channel. */
  readonly infos: readonly Record<string, unknown>[]
  readonly lastEventId: string
  readonly ended: boolean
  /** Waits for an event that `wanted` accepts. */
  next(what: string, wanted: (event: ReceivedEvent) => boolean): Promise<ReceivedEvent>
  /** Settles in the turn in which `text` has come. */
  arrived(what: string, text: string): Promise<void>
  /** Waits for the end of the response, in order or not. */
  end(): Promise<void>
  /** Cuts the connection off, as a browser that is closed does. */
  drop(): void
  /** Reads no more, as a browser does whose computer is busy, until `resume`. */
  pause(): void
  resume(): void
}

/** Opens an event stream over a socket of its own and parses it by the WHATWG's rules. */
export async function openEvents(
  url: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<EventStream> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const asked = request(url, { agent: false, method, headers })
    asked.on('response', resolve)
    asked.on('error', reject)
    asked.end()
  })
  let text = ''
  let ended = false
  response.setEncoding('utf8')
  const waiting = new Set<() => void>()
  response.on('data', (chunk: string) => {
    text += chunk
    for (const look of waiting) look()
  })
  response.on('error', () => (ended = true))
  response.on('close', () => (ended = true))
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    get text() {
      return text
    },
    get events() {
      return parseEvents(text)
    },
    get infos() {
      return parseEvents(text)
        .filter(({ event, data }) => event === 'message' && data.startsWith('{'))
        .map(({ data }) => JSON.parse(data) as Record<string, unknown>)
    },
    get lastEventId() {
      return parseEvents(text).at(-1)?.id ?? ''
    },
    get ended() {
      return ended
    },
    async next(what, wanted) {
      let found: ReceivedEvent | undefined
      await until(what, () => (found = parseEvents(text).find(wanted)))
      return found!
    },
    arrived: (what, wanted) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(look)
          reject(new Error(`Waited 15000 ms for ${what}.`))
        }, 15_000)
        const look = () => {
          if (!text.includes(wanted)) return
          clearTimeout(timer)
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
    end: async () => void (await until('the end of the stream', () => ended)),
    drop: () => response.destroy(),
    pause: () => void response.pause(),
    resume: () => void response.resume(),
  }
}

/** Parses an event stream as the WHATWG's HTML standard says in 9.2.6. */
export function parseEvents(text: string): ReceivedEvent[] {
  const events: ReceivedEvent[] = []
  let event = ''
  let data: string[] = []
  let id = ''
  const lines = text.split(/\r\n|\n|\r/)
  // What comes after the last line end is not yet a line.
  for (const line of lines.slice(0, -1)) {
    if (line === '') {
      if (data.length > 0) events.push({ event: event || 'message', data: data.join('\n'), id })
      event = ''
      data = []
      continue
    }
    const colon = line.indexOf(':')
    if (colon === 0) continue
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'event') event = value
    else if (field === 'data') data.push(value)
    else if (field === 'id' && !value.includes('\0')) id = value
  }
  return events
}
