import { lateRun } from './late-run.js'
import { ask, Refusal } from './requests.js'
import { liveState } from './state.js'
import type { StreamEnd } from './fetch.js'
import type {
  Address,
  ConnectOptions,
  EventSourceClass,
  EventSourceLike,
  Live,
  Loss,
  Message,
  Schema,
  SourceOptions,
  Status,
  Watcher,
} from './types.js'

export type * from './types.js'

interface Info {
  config?: { client_id: string; heartbeat_millis?: number }
  subscriptions?: string[]
  closed?: { reason?: string; reconnect?: boolean }
  error?: { topic?: string; code: string; message: string }
}

interface Changed {
  added?: string[]
  topics?: string[]
  refused?: { topic: string; code: string; message: string }[]
}

interface StreamEvent {
  type: string
  data: string
  lastEventId: string
}

type Opener = new (url: string, options: SourceOptions) => EventSourceLike

type Timer = ReturnType<typeof setTimeout> | undefined

const firstWait = 500
/** An attempt that has not come to its first message after this long is given up. */
const patience = 30_000

interface Page {
  addEventListener?(type: string, listener: (event: { persisted?: boolean }) => void): void
  removeEventListener?(type: string, listener: (event: { persisted?: boolean }) => void): void
  EventSource?: EventSourceClass
}
const page = globalThis as Page

function parserOf(parse: ConnectOptions['parse']): (text: string, topic: string) => unknown {
  if (typeof parse === 'function') return (text) => parse(text)
  return (text, topic) => {
    const value: unknown = JSON.parse(text)
    const schema: Schema | undefined = parse?.[topic]
    if (schema === undefined) return value
    const result = schema['~standard'].validate(value) as { value?: unknown; issues?: unknown[] }
    if (result.issues) throw new TypeError(JSON.stringify(result.issues))
    return result.value
  }
}

const OPTIONS =
  'clients, subscriptions, headers, parse, linger, maxWait, withCredentials, infoEvent, EventSource'

/**
 * Opens a stream that comes back from everything until it is closed, from the place where it was.
 *
 * @example
 * const live = connect<{ news: News }>('/events')
 * const stop = live.on('news', (news) => show(news))
 */
export function connect<Topics extends object = Record<string, unknown>>(
  url: Address,
  options: ConnectOptions = {},
): Live<Topics> {
  for (const name of Object.keys(options)) {
    if (!OPTIONS.split(', ').includes(name)) {
      throw new TypeError(`connect: there is no option ${name}. It has ${OPTIONS}.`)
    }
  }
  const { clients, subscriptions, linger = 1_000, maxWait = 30_000 } = options
  const infoEvents = [options.infoEvent ?? 'message', 'unifrost-connection']
  if ((clients === undefined) !== (subscriptions === undefined)) {
    throw new TypeError('connect: `clients` and `subscriptions` go together.')
  }
  const parse = parserOf(options.parse)
  const watchers = new Map<string, Set<Watcher>>()
  const any = new Set<(data: unknown, message: Message) => void>()
  const losses = new Set<(loss: Loss) => void>()
  const statuses = new Set<(status: Status) => void>()
  const leaving = new Map<string, Timer>()

  let status: Status = 'connecting'
  let source: EventSourceLike | undefined
  /** Rises with each attempt: what an older one still answers counts no more. */
  let attempt = 0
  let failures = 0
  let renewed = false
  let timer: Timer
  let silence: Timer
  let id: string | undefined
  let position = ''
  let isNew = false
  let forgotten = false
  let goodbye: Info['closed']
  /** The topics that the server has for this client, those that stood in the address, those it refused. */
  let standing = new Set<string>()
  let asked = new Set<string>()
  let own = new Set<string>()
  let heard = new Set<string>()
  let syncing = false
  let soon: Timer

  const setStatus = (next: Status) => {
    if (status === next) return
    status = next
    for (const listener of [...statuses]) listener(next)
  }

  const tell = (loss: Loss) => {
    for (const listener of [...losses]) listener(loss)
    for (const watcher of [...(watchers.get(loss.topic) ?? [])]) watcher.lost?.(loss)
  }

  const stands = (topic: string) => {
    standing.add(topic)
    hear(topic)
    for (const watcher of [...(watchers.get(topic) ?? [])]) watcher.stands?.()
  }

  /** Ends the attempt, whatever it has come to. */
  const stop = () => {
    attempt++
    clearTimeout(timer)
    clearTimeout(silence)
    source?.close()
    source = undefined
    goodbye = undefined
    syncing = false
  }

  const finish = () => {
    if (status === 'closed') return
    stop()
    clearTimeout(soon)
    for (const waiting of leaving.values()) clearTimeout(waiting)
    for (const [type, listener] of pageListeners) page.removeEventListener?.(type, listener)
    setStatus('closed')
    for (const set of watchers.values()) for (const watcher of set) watcher.closed?.()
  }

  /** Twice as long for each failure in a row, half of it by chance, and never before the server allows. */
  const wait = (atLeast = 0) => {
    stop()
    setStatus('waiting')
    const longest = Math.min(maxWait, firstWait * 2 ** Math.min(failures++, 20))
    const pause = Math.max(atLeast, longest / 2 + (Math.random() * longest) / 2)
    timer = setTimeout(() => void open(), Math.min(pause, 2 ** 31 - 1))
  }

  /** The server has forgotten the client, so the page makes another. Once at once, then as after any failure. */
  const renew = (atLeast?: number) => {
    id = undefined
    forgotten = true
    if (renewed) return wait(atLeast)
    renewed = true
    void open()
  }

  const refused = (error: unknown) => {
    const { status, retryAfter } = error instanceof Refusal ? error : {}
    if (status === 401 && id !== undefined) renew(retryAfter)
    else wait(retryAfter)
  }

  const watch = () => {
    clearTimeout(silence)
    if (limit > 0) silence = setTimeout(() => void open(), limit)
  }
  let limit = 0

  const address = async () => {
    const base = typeof url === 'function' ? await url() : url
    const query: string[][] =
      id === undefined ? [...asked].map((topic) => ['topic', topic]) : [['id', id]]
    if (position !== '') query.push(['last_event_id', position])
    if (query.length === 0) return base
    const text = query.map(([name, value]) => `${name}=${encodeURIComponent(value!)}`).join('&')
    return base + (base.includes('?') ? '&' : '?') + text
  }

  const open = async (): Promise<void> => {
    stop()
    const mine = attempt
    setStatus('connecting')
    try {
      const Source =
        options.EventSource ??
        (options.headers ? (await import('./fetch.js')).FetchEventSource : page.EventSource)
      if (clients !== undefined && id === undefined) {
        const made = (await ask(clients, options, {})) as { client_id: string }
        if (mine !== attempt) return
        id = made.client_id
        isNew = true
        position = ''
        own = new Set()
      }
      asked = new Set(wanted())
      const at = await address()
      if (mine !== attempt) return
      limit = patience
      watch()
      heard = new Set()
      const { headers, withCredentials = false } = options
      const opened = (source = new (Source as Opener)(at, { withCredentials, headers }))
      opened.onerror = (event: StreamEnd) => {
        if (mine === attempt) void broke(opened, event, at)
      }
      for (const name of infoEvents) hear(name)
      // Two that only the fetch transport has: each piece of the stream, and topics that nobody named.
      opened.addEventListener('*bytes', () => {
        if (mine === attempt) watch()
      })
      hear('*rest')
      for (const topic of new Set([...asked, ...standing])) hear(topic)
    } catch (error) {
      if (mine === attempt) refused(error)
    }
  }

  const broke = async (from: EventSourceLike, event: StreamEnd, at: string) => {
    // A browser that comes back by itself obeys the server's `retry:`, and names its position. It has no
    // end of waiting for a server that takes the connection and says nothing.
    if (from.readyState !== 2) {
      limit = 4 * patience
      watch()
      return setStatus('connecting')
    }
    const mine = attempt
    setStatus('waiting')
    clearTimeout(silence)
    if (event.retry !== undefined && event.status === 200) {
      failures = 0
      return wait(event.retry)
    }
    try {
      if (event.retryAfter !== undefined || event.status > 299) {
        throw new Refusal(event.status, event.retryAfter, undefined)
      }
      // EventSource does not say why. HEAD tells 401 from 503.
      await ask(at, options)
      if (mine === attempt) wait()
    } catch (error) {
      if (mine === attempt) refused(error)
    }
  }

  const hear = (name: string) => {
    if (source === undefined || heard.has(name)) return
    heard.add(name)
    const mine = attempt
    source.addEventListener(name, (event: StreamEvent) => {
      if (mine !== attempt) return
      watch()
      if (event.lastEventId) position = event.lastEventId
      if (infoEvents.includes(name)) info(event.data)
      else message(event)
    })
  }

  const message = ({ type: topic, data: text, lastEventId }: StreamEvent) => {
    let data: unknown
    try {
      data = parse(text, topic)
    } catch (error) {
      return tell({ topic, code: 'parse-failure', message: String(error) })
    }
    const about = { topic, id: lastEventId }
    for (const watcher of [...(watchers.get(topic) ?? [])]) watcher.message?.(data, about)
    for (const handler of [...any]) handler(data, about)
  }

  const info = (text: string) => {
    if (text === 'Client closed') {
      // EventSource itself would come back after `retry:`, which may be a week.
      return goodbye?.reconnect === false ? finish() : wait()
    }
    let known: Info
    try {
      known = JSON.parse(text) as Info
    } catch {
      // It is the application's own: the server's are JSON.
      return undefined
    }
    if (known.closed) goodbye = known.closed
    else if (known.config) first(known.config, known.subscriptions ?? [])
    else if (known.error) failed(known.error)
  }

  const first = (config: NonNullable<Info['config']>, topics: string[]) => {
    failures = 0
    renewed = false
    limit = 2 * (config.heartbeat_millis ?? 0)
    watch()
    const before = standing
    standing = new Set()
    if (isNew && forgotten) {
      for (const topic of before) {
        tell({ topic, code: 'new-client', message: 'The server had forgotten the client.' })
      }
    }
    isNew = forgotten = false
    own = new Set([...own].filter((topic) => topics.includes(topic)))
    setStatus('open')
    topics.forEach(stands)
    void sync()
  }

  const failed = ({ topic, code, message }: NonNullable<Info['error']>) => {
    if (code === 'replaced') return finish()
    if (code === 'token-expired') return void open()
    if (topic !== undefined) {
      if (code === 'subscription-failure') again(topic)
      return tell({ topic, code, message })
    }
    if (code === 'unknown-position') {
      for (const each of [...standing]) tell({ topic: each, code, message })
    }
  }

  /** The broker has ended the subscription, or a message was refused. It is asked for again a little later. */
  const again = (topic: string) => {
    standing.delete(topic)
    own.delete(topic)
    clearTimeout(soon)
    const ask = () => void (subscriptions === undefined ? open() : sync())
    soon = setTimeout(ask, firstWait * (1 + Math.random()))
  }

  const wanted = () => [...watchers.keys()]

  /** Brings the server's topics to what is handled here. What the server added by itself stays. */
  const sync = async (): Promise<void> => {
    if (status !== 'open' || syncing) return
    if (subscriptions === undefined) {
      const missing = wanted().some((topic) => !asked.has(topic) && !standing.has(topic))
      if (missing || [...asked].some((topic) => !watchers.has(topic))) void open()
      return
    }
    const add = wanted().filter((topic) => !standing.has(topic) && !own.has(topic))
    const remove = [...own].filter((topic) => !watchers.has(topic))
    if (add.length + remove.length === 0) return
    syncing = true
    const mine = attempt
    let answer: Changed | undefined
    try {
      answer = (await ask(subscriptions, options, { client_id: id, add, remove })) as Changed
    } catch (error) {
      if (mine !== attempt) return
      const body = error instanceof Refusal ? (error.body as Changed | undefined) : undefined
      if (body?.refused === undefined) return refused(error)
      answer = body
    }
    if (mine !== attempt) return
    syncing = false
    for (const topic of add) own.add(topic)
    for (const topic of remove) {
      own.delete(topic)
      standing.delete(topic)
    }
    const has = answer.topics ?? answer.added ?? add
    for (const topic of add) if (has.includes(topic)) stands(topic)
    for (const each of answer.refused ?? []) tell(each)
    void sync()
  }

  const later = () => {
    // The first attempt is about to open with all topics.
    if (attempt === 0) return
    clearTimeout(soon)
    soon = setTimeout(() => void sync(), 0)
  }

  const attach = (topic: string, watcher: Watcher) => {
    if (status === 'closed') return () => undefined
    clearTimeout(leaving.get(topic))
    leaving.delete(topic)
    let set = watchers.get(topic)
    if (set === undefined) {
      watchers.set(topic, (set = new Set()))
      later()
    }
    set.add(watcher)
    hear(topic)
    if (status === 'open' && standing.has(topic)) watcher.stands?.()
    return () => {
      if (!set.delete(watcher) || set.size > 0 || status === 'closed') return
      const leave = () => {
        leaving.delete(topic)
        watchers.delete(topic)
        void sync()
      }
      leaving.set(topic, setTimeout(leave, linger))
    }
  }

  const listen = <Listener>(set: Set<Listener>, listener: Listener) => {
    set.add(listener)
    return () => void set.delete(listener)
  }

  const pageListeners: [string, (event: { persisted?: boolean }) => void][] = [
    ['online', () => void (status === 'open' || open())],
    [
      'pagehide',
      () => {
        stop()
        setStatus('waiting')
      },
    ],
    ['pageshow', ({ persisted }) => void (persisted && open())],
  ]
  for (const [type, listener] of pageListeners) page.addEventListener?.(type, listener)
  // A page that handles its topics at once opens the stream with all of them.
  soon = setTimeout(() => void open(), 0)

  const live: Live<Topics> = {
    get status() {
      return status
    },
    onStatus: (listener) => listen(statuses, listener),
    on: (topic, handler) =>
      attach(topic, { message: (data, about) => handler(data as never, about as never) }),
    onAny: (handler) => listen(any, handler),
    onLost: (listener) => listen(losses, listener),
    state: (topic, stateOptions) =>
      liveState((watcher) => attach(topic, watcher), stateOptions, linger),
    run: (from) =>
      lateRun(async () => {
        const { readRun } = await import('./run.js')
        return readRun(from, options, live)
      }),
    close: finish,
  }
  return live
}
