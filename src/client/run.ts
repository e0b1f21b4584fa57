import { readEvents } from './event-stream.js'
import type { StreamEvent } from './event-stream.js'
import { retryAfter } from './retry-after.js'
import type {
  Address,
  ConnectOptions,
  Live,
  LiveRun,
  RunEnd,
  RunPart,
  RunSource,
  RunView,
} from './types.js'

const firstWait = 500
/** A run has no heartbeats: after this long without a byte it is asked for again, from the last id on. */
const silence = 30_000
/** Parts are handed over together that came within this time: about a frame of the screen. */
const frame = 16
/** How often a run may be unknown to the server, where nobody knows whether the POST has arrived. */
const mostUnknown = 3

type Body = NonNullable<NonNullable<Parameters<typeof fetch>[1]>['body']> | null

/** Statuses that pass by themselves. */
const passes = (status: number) => status >= 500 || [408, 425, 429].includes(status)

interface Answer {
  error?: { code?: string; message?: string }
}

interface Page {
  addEventListener?(type: string, listener: () => void): void
  removeEventListener?(type: string, listener: () => void): void
}
const page = globalThis as Page

const json = 'application/json'

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function bodyOf(body: unknown): { body: Body; type?: string } {
  if (body === undefined || body === null) return { body: null }
  if (typeof body === 'string') {
    return { body, type: isJson(body) ? json : 'text/plain;charset=utf-8' }
  }
  // FormData, URLSearchParams, Blob and bytes go as they are.
  const kind: string = Object.prototype.toString.call(body)
  if (!/ (Object|Array|Number|Boolean)\]$/.test(kind)) return { body: body as Body }
  return { body: JSON.stringify(body), type: json }
}

/**
 * Reads a run to its end: all parts so far, then those that come. After a break it goes on behind the last
 * id. It reads while anybody listens, and a POST is sent once, whatever comes of it.
 */
export function readRun<Data>(
  from: Address | RunSource<Data>,
  { headers, withCredentials, maxWait = 30_000 }: ConnectOptions,
  live: Pick<Live, 'status' | 'onStatus'>,
): LiveRun<Data> {
  const source: RunSource<Data> = typeof from === 'object' ? from : { url: from }
  const { start, parse = (text: string) => text as Data } = source
  const wrong = Object.keys(source).find((name) => !['url', 'start', 'parse'].includes(name))
  if (wrong !== undefined) {
    throw new TypeError(`live.run: there is no option ${wrong}. It has url, start, parse.`)
  }
  let { url } = source
  if ((url ?? start?.url) === undefined) {
    throw new TypeError(
      'live.run: give the address of the run as `url`, or of its POST as `start.url`.',
    )
  }
  // Made at once, so that what can't be sent is an error of the call and no reason to try again.
  const { body, type } = bodyOf(start?.body)
  const typed = type === undefined ? {} : { 'content-type': type }
  const parts: RunPart<Data>[] = []
  const listeners = new Set<() => void>()
  const waiting = new Set<() => void>()
  let view: RunView<Data> = { parts: [], state: 'connecting', end: undefined }
  let shown = 0
  let holders = 0
  let begun = false
  let posted = false
  /** The POST was sent, and nobody knows whether it arrived. */
  let unknown = 0
  let refusals = 0
  let failures = 0
  let lastId = ''
  let reading: AbortController | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let quiet: ReturnType<typeof setTimeout> | undefined
  let flushing: ReturnType<typeof setTimeout> | undefined

  const isOver = () => view.end !== undefined || view.state === 'closed'

  const show = (change: Partial<RunView<Data>>) => {
    clearTimeout(flushing)
    flushing = undefined
    if (shown < parts.length) change = { ...change, parts: [...parts] }
    shown = parts.length
    view = { ...view, ...change }
    for (const wake of waiting) wake()
    waiting.clear()
    for (const listener of [...listeners]) listener()
  }

  const halt = () => {
    clearTimeout(timer)
    clearTimeout(quiet)
    reading?.abort()
    reading = undefined
  }

  const finish = (change: Partial<RunView<Data>>) => {
    if (isOver()) return
    rest()
    stopClosing()
    show(change)
  }
  const end = (how: RunEnd) => finish({ state: how.kind, end: how })
  const fail = (code: string, message: string) => end({ kind: 'failed', code, message })
  const close = () => finish({ state: 'closed' })

  const wait = (atLeast = 0) => {
    halt()
    show({ state: 'waiting' })
    const longest = Math.min(maxWait, firstWait * 2 ** Math.min(failures++, 20))
    const pause = Math.max(atLeast, longest / 2 + (Math.random() * longest) / 2)
    timer = setTimeout(() => void attempt(), Math.min(pause, 2 ** 31 - 1))
  }

  const listen = () => {
    clearTimeout(quiet)
    // A POST may think for as long as it likes before its first part.
    if (begun || !posted) quiet = setTimeout(() => void attempt(), silence)
  }

  const take = ({ type, data, lastEventId, named }: StreamEvent) => {
    if (type === 'end') return end(JSON.parse(data) as RunEnd)
    const number = /^(.*-)(\d+)$/.exec(lastEventId)
    const last = /^(.*-)(\d+)$/.exec(lastId)
    if (named && number && last && number[1] === last[1] && Number(number[2]) <= Number(last[2])) {
      return undefined
    }
    begun = true
    failures = refusals = 0
    if (named) lastId = lastEventId
    const event = type === 'message' ? undefined : type
    let value: Data
    try {
      value = parse(data, event)
    } catch (error) {
      return fail('parse-failure', String(error))
    }
    parts.push({ id: named ? lastEventId : undefined, data: value, event })
    if (flushing === undefined) flushing = setTimeout(() => show({}), frame)
  }

  const request = async (signal: AbortSignal): Promise<Response> => {
    const own = await headers?.()
    const isStart = start !== undefined && !posted
    const at = isStart ? (start.url ?? url) : (url ?? start?.url)
    const to = typeof at === 'function' ? await at() : at
    const accept = 'text/event-stream, application/json'
    const credentials = withCredentials ? ('include' as const) : ('same-origin' as const)
    const init = { cache: 'no-store' as const, credentials, signal }
    if (!isStart) {
      const after = lastId === '' ? {} : { 'last-event-id': lastId }
      return fetch(to!, { ...init, headers: { ...own, accept, ...after } })
    }
    if (signal.aborted) throw new TypeError('The reader has gone.')
    posted = true
    unknown = mostUnknown
    const method = 'POST'
    return fetch(to!, {
      ...init,
      method,
      body,
      headers: { ...typed, ...own, ...start.headers, accept },
    })
  }

  /** Goes by an answer that is no stream. */
  const refused = async (response: Response, wasStart: boolean) => {
    const { status } = response
    if (response.ok && wasStart) {
      await response.body?.cancel()
      return attempt()
    }
    const retry = retryAfter(response.headers.get('retry-after'))
    const answer = (await response.json().catch(() => ({}))) as Answer
    // A proxy's 502 and 504 do not say whether the POST has arrived.
    if (wasStart ? status === 502 || status === 504 : passes(status)) return wait(retry)
    if (status === 401 && !wasStart && headers !== undefined && refusals++ === 0) return attempt()
    if (status === 404 && unknown-- > 0) return wait(retry)
    if (status === 204) return fail('no-run', 'The server has no such run.')
    const message = answer.error?.message ?? `The server answered ${status}.`
    return fail(answer.error?.code ?? `http-${status}`, message)
  }

  const attempt = async (): Promise<void> => {
    halt()
    if (isOver()) return
    if (view.state !== 'connecting') show({ state: 'connecting' })
    const mine = (reading = new AbortController())
    const wasStart = start !== undefined && !posted
    if (!wasStart) listen()
    try {
      const response = await request(mine.signal)
      if (mine !== reading) return
      const type = response.headers.get('content-type') ?? ''
      if (wasStart && response.ok) {
        unknown = 0
        const place = response.headers.get('location')
        if (url === undefined && place) url = new URL(place, response.url).href
      }
      if (response.status !== 200 || !type.startsWith('text/event-stream') || !response.body) {
        return await refused(response, wasStart)
      }
      unknown = 0
      show({ state: 'open' })
      await readEvents(response.body.getReader(), {
        piece: () => {
          if (mine === reading) listen()
        },
        event: (event) => {
          if (mine === reading) take(event)
        },
      })
    } catch (error) {
      if (mine !== reading) return
      // The POST was not sent, or the stream broke: the wait is the same.
      if (error instanceof SyntaxError) return fail('parse-failure', String(error))
    }
    if (mine === reading) wait()
  }

  const again = () => {
    if (holders > 0 && (reading === undefined || begun || !posted)) void attempt()
  }
  const pageListeners: [string, () => void][] = [
    ['online', again],
    ['pagehide', halt],
    ['pageshow', () => void (reading === undefined && again())],
  ]

  let resting = true
  const rest = () => {
    halt()
    if (resting) return
    resting = true
    for (const [type, listener] of pageListeners) page.removeEventListener?.(type, listener)
  }

  const hold = () => {
    holders++
    if (resting && !isOver()) {
      resting = false
      for (const [type, listener] of pageListeners) page.addEventListener?.(type, listener)
      void attempt()
    }
    return () => {
      // StrictMode and fast refresh listen again at once.
      if (--holders === 0) setTimeout(() => void (holders === 0 && rest()), 0)
    }
  }

  const stopClosing = live.onStatus((status) => {
    if (status === 'closed') close()
  })
  if (live.status === 'closed') close()

  return {
    view: () => view,
    get end() {
      return view.end
    },
    close,
    subscribe: (listener) => {
      const own = () => listener(view)
      listeners.add(own)
      const release = hold()
      own()
      return () => {
        if (listeners.delete(own)) release()
      }
    },
    async *[Symbol.asyncIterator]() {
      const release = hold()
      try {
        for (let at = 0; ;) {
          while (at < shown) yield parts[at++]!
          if (isOver()) return
          await new Promise<void>((resolve) => void waiting.add(resolve))
        }
      } finally {
        release()
      }
    },
  }
}
