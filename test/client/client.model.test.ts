import fc from 'fast-check'
import { connect } from 'unifrost/client'
import type { ConnectOptions, Loss } from 'unifrost/client'
import { MODEL_SEED } from '../support/model-seed.js'

/** A message as the fake server keeps it: its place in the log is its number, from 1 on. */
interface Entry {
  topic: string
  n: number
}

/** A server that forgets nothing but its clients, behind a network that the test breaks. */
class FakeServer {
  readonly log: Entry[] = []
  /** For each client the topics, each with the place that it was subscribed at. */
  readonly clients = new Map<string, Map<string, number>>()
  readonly sockets = new Set<FakeSocket>()
  isDown = false
  made = 0

  publish(topic: string): void {
    const n = this.log.length + 1
    this.log.push({ topic, n })
    for (const socket of this.sockets) if (socket.readyState === 1) socket.catchUp()
  }

  count(topic: string): { count: number; through: number } {
    const count = this.log.filter((entry) => entry.topic === topic).length
    return { count, through: this.log.length }
  }

  readonly fetch = async (to: unknown, init: RequestInit = {}) => {
    await moved(5)
    const url = new URL(String(to))
    if (this.isDown) return new Response('', { status: 502 })
    if (init.method === 'HEAD') {
      const isKnown = this.clients.has(url.searchParams.get('id') ?? '')
      return new Response(null, { status: isKnown ? 200 : 401 })
    }
    const body = JSON.parse(init.body as string) as {
      client_id: string
      add: string[]
      remove: string[]
    }
    if (url.pathname === '/clients') {
      const id = `c${++this.made}`
      this.clients.set(id, new Map())
      return Response.json({ client_id: id })
    }
    const topics = this.clients.get(body.client_id)
    if (topics === undefined) return Response.json({ error: {} }, { status: 401 })
    for (const topic of body.remove) topics.delete(topic)
    for (const topic of body.add) {
      if (!topics.has(topic)) topics.set(topic, this.log.length)
    }
    return Response.json({ added: body.add, topics: [...topics.keys()] })
  }
}

let server: FakeServer

/** Settles when the test has moved the clock by so much. */
function moved(time: number): Promise<void> {
  return new Promise((answer) => {
    setTimeout(answer, time)
  })
}

/** An EventSource as browsers have it: it comes back from a cut by itself, and ends at a status. */
class FakeSocket {
  readyState = 0
  onerror: ((event: object) => void) | null = null
  /** What is sent to it is lost, and it does not know. */
  isFrozen = false
  private readonly listeners = new Map<string, ((event: object) => void)[]>()
  private readonly id: string
  private position: number | undefined
  private timer: ReturnType<typeof setTimeout>
  private heartbeat: ReturnType<typeof setInterval> | undefined

  constructor(url: string) {
    const query = new URL(url).searchParams
    this.id = query.get('id')!
    const position = query.get('last_event_id')
    if (position !== null) this.position = Number(position)
    this.timer = setTimeout(() => this.open(), 10)
    server.sockets.add(this)
  }

  addEventListener(type: string, listener: (event: object) => void): void {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener])
  }

  close(): void {
    this.readyState = 2
    clearTimeout(this.timer)
    clearInterval(this.heartbeat)
    server.sockets.delete(this)
  }

  cut(): void {
    clearInterval(this.heartbeat)
    clearTimeout(this.timer)
    this.readyState = 0
    this.isFrozen = false
    this.timer = setTimeout(() => this.open(), 100)
    this.onerror?.({ type: 'error' })
  }

  catchUp(): void {
    const topics = server.clients.get(this.id)
    for (const { topic, n } of server.log.slice(this.position)) {
      this.position = n
      if (topics !== undefined && n > (topics.get(topic) ?? Infinity)) this.send(topic, `${n}`, n)
    }
  }

  private open(): void {
    const topics = server.clients.get(this.id)
    if (server.isDown || topics === undefined) {
      this.close()
      this.onerror?.({ type: 'error' })
      return
    }
    this.readyState = 1
    this.position = this.seen ?? this.position ?? server.log.length
    const config = { client_id: this.id, heartbeat_millis: 5_000 }
    const first = { config, subscriptions: [...topics.keys()] }
    this.send('message', JSON.stringify(first), this.position)
    this.catchUp()
    this.heartbeat = setInterval(() => this.send('message', '{}', this.position!), 5_000)
  }

  /** The last id that has come through, which the browser names when it comes back. */
  private seen: number | undefined

  private send(type: string, data: string, position: number): void {
    if (this.isFrozen || this.readyState !== 1) return
    this.seen = position
    const event = { type, data, lastEventId: `${position}` }
    for (const listener of this.listeners.get(type) ?? []) listener(event)
  }
}

jest.setTimeout(120_000)

const topics = fc.constantFrom('a', 'b')
const step = fc.oneof(
  { weight: 4, arbitrary: topics.map((topic) => ['publish', topic] as const) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(3, 20, 200, 1_000, 11_000).map((time) => ['pass', time] as const),
  },
  fc.constantFrom(
    ['cut'] as const,
    ['freeze'] as const,
    ['down'] as const,
    ['up'] as const,
    ['forget'] as const,
    ['load fails'] as const,
    ['handle b'] as const,
    ['let b go'] as const,
    ['show state'] as const,
    ['hide state'] as const,
  ),
)

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'performance'] })
  server = new FakeServer()
})
afterEach(() => {
  jest.useRealTimers()
  jest.restoreAllMocks()
})

test('in every order of faults: each message once, a hole is told, the state is right in the end, nothing is left', async () => {
  const pass = (time: number) => jest.advanceTimersByTimeAsync(time)
  jest.spyOn(globalThis, 'fetch').mockImplementation((to, init) => server.fetch(to, init))
  const all = async (steps: (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[]) => {
    // What a run that failed has left.
    jest.clearAllTimers()
    server = new FakeServer()
    const live = connect<{ a: number; b: number }>('http://a.test/events', {
      clients: 'http://a.test/clients',
      subscriptions: 'http://a.test/subscriptions',
      EventSource: FakeSocket as unknown as ConnectOptions['EventSource'],
      linger: 50,
    })
    /** What the handler of `a` has got, and the holes between. */
    const got: (number | 'lost')[] = []
    live.on('a', (n) => void got.push(n))
    live.onLost(({ topic }: Loss) => void (topic === 'a' && got.push('lost')))
    let failing = 0
    const state = live.state('b', {
      // It reads early and answers late: what is published meanwhile must come as events.
      load: async () => {
        const loaded = server.count('b')
        await moved(300)
        if (failing > 0 && failing--) throw new Error('The load has failed.')
        return loaded
      },
      apply: (now, n) => (n > now.through ? { count: now.count + 1, through: n } : now),
    })
    let stopB: () => void = () => undefined
    let hide = state.subscribe(() => undefined)
    await pass(1_000)

    for (const [what, value] of steps) {
      if (what === 'publish') server.publish(value)
      else if (what === 'pass') await pass(value)
      else if (what === 'cut') for (const socket of server.sockets) socket.cut()
      else if (what === 'freeze') for (const socket of server.sockets) socket.isFrozen = true
      else if (what === 'down') {
        server.isDown = true
        for (const socket of server.sockets) socket.cut()
      } else if (what === 'up') server.isDown = false
      else if (what === 'forget') {
        server.clients.clear()
        for (const socket of server.sockets) socket.cut()
      } else if (what === 'load fails') failing++
      else if (what === 'handle b') {
        stopB()
        stopB = live.on('b', () => undefined)
      } else if (what === 'let b go') stopB()
      else if (what === 'show state') {
        hide()
        hide = state.subscribe(() => undefined)
      } else hide()
    }

    server.isDown = false
    hide()
    hide = state.subscribe(() => undefined)
    await pass(300_000)
    expect(live.status).toBe('open')
    expect(server.sockets.size).toBe(1)
    server.publish('a')
    server.publish('b')
    await pass(1_000)
    expect(state.view()).toMatchObject({ data: { count: server.count('b').count }, stale: false })

    // Behind the first message, nothing of `a` is missing but where a hole was told.
    const inA = server.log.filter(({ topic }) => topic === 'a').map(({ n }) => n)
    expect(got.at(-1)).toBe(inA.at(-1))
    let last: number | undefined
    for (const n of got) {
      if (n === 'lost') last = undefined
      else {
        if (last !== undefined) expect(n).toBe(inA[inA.indexOf(last) + 1])
        last = n
      }
    }
    const numbers = got.filter((n) => n !== 'lost')
    expect(new Set(numbers).size).toBe(numbers.length)

    live.close()
    expect(server.sockets.size).toBe(0)
    hide()
    stopB()
    await pass(1_000)
    expect(jest.getTimerCount()).toBe(0)
  }
  const numRuns = Number(process.env['MODEL_RUNS'] ?? 30)
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }),
    all,
  )
  await fc.assert(property, { ...MODEL_SEED, numRuns })
})
