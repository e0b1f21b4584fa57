import type { RequestListener } from 'node:http'
import { EventSource } from 'eventsource'
import { connect } from 'unifrost/client'
import type { ConnectOptions, Live, Loss } from 'unifrost/client'
import { autoClient, clients, subscriptions, unifrostExpress } from 'unifrost/express'
import express from 'express'
import { serve } from '../support/http-server.js'
import type { Served } from '../support/http-server.js'
import { until } from '../support/until.js'

/** What the proxy in front of the server answers, while it is anything. */
let refuse: { status: number; headers?: Record<string, string> } | undefined
let served: Served
let live: Live | undefined
let requests: string[]
let goodbye = ''

beforeEach(async () => {
  refuse = undefined
  requests = []
  served = await serve({ retry: { min: 20, max: 40 } }, ({ streamer }) => {
    const app = express()
    app.use((request, response, next) => {
      requests.push(`${request.method} ${request.url}`)
      if (refuse === undefined) next()
      else response.writeHead(refuse.status, refuse.headers).end('refused by the proxy')
    })
    app.use('/goodbye', (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(`${goodbye}data: Client closed\n\n`)
    })
    app.use('/clients', clients(streamer))
    app.use(
      '/subscriptions',
      subscriptions(streamer, { authorize: (_, topic) => topic !== 'secret' }),
    )
    app.use('/auto', autoClient(streamer, { authorize: () => true }), unifrostExpress(streamer))
    app.use('/events', unifrostExpress(streamer))
    return app as RequestListener
  })
})

afterEach(async () => {
  live?.close()
  await served.dispose()
})

const at = (path: string) => `http://127.0.0.1:${served.port}${path}`

function manual(options: ConnectOptions = {}): Live {
  return (live = connect(at('/events'), {
    clients: at('/clients'),
    subscriptions: at('/subscriptions'),
    EventSource,
    linger: 20,
    maxWait: 50,
    ...options,
  }))
}

const automatic = (options: ConnectOptions = {}): Live =>
  (live = connect(at('/auto'), { EventSource, linger: 20, maxWait: 50, ...options }))

const byFetch: ConnectOptions = { EventSource: undefined, headers: async () => ({ 'x-own': '1' }) }
const openings: [string, () => Live][] = [
  ['a client of its own, by EventSource', () => manual()],
  ['topics in the address, by EventSource', () => automatic()],
  ['a client of its own, by fetch', () => manual(byFetch)],
  ['topics in the address, by fetch', () => automatic(byFetch)],
]

const clientId = () =>
  /id=([^&]+)/.exec(requests.filter((line) => line.includes('/events?')).pop()!)![1]!

/** The server forgets the client while the page is away, as after its TTL. */
async function forget(): Promise<void> {
  refuse = { status: 502 }
  served.server.closeAllConnections()
  await until('a wait', () => live!.status === 'waiting')
  await served.streamer.removeClient(clientId())
  refuse = undefined
}

const stands = () =>
  until('a stream with its topic', () => {
    const { connections, topics } = served.streamer.stats()
    return connections === 1 && live?.status === 'open' && topics === 1
  })

describe.each(openings)('%s', (_name, start) => {
  test('gets each message once, across 502s and broken connections', async () => {
    const got: number[] = []
    start().on('news', (data) => void got.push(data as number))
    await stands()
    served.driver.publish('news', '1')
    await until('the first message', () => got.length === 1)

    refuse = { status: 502 }
    for (const response of served.responses) response.destroy()
    served.server.closeAllConnections()
    await until('a wait after 502', () => live?.status === 'waiting')
    served.driver.publish('news', '2')
    refuse = undefined
    await until('the message of meanwhile', () => got.length === 2)
    await stands()
    served.driver.publish('news', '3')
    await until('the last message', () => got.length === 3)
    expect(got).toEqual([1, 2, 3])
  })
})

test('a client that the server has forgotten is made anew, and says so', async () => {
  const losses: Loss[] = []
  const got: unknown[] = []
  manual().onLost((loss) => void losses.push(loss))
  live!.on('news', (data) => void got.push(data))
  await stands()
  await forget()
  await until('the loss', () => losses.length > 0)
  expect(losses[0]).toMatchObject({ topic: 'news', code: 'new-client' })
  // The server still has the topic of the old client, so its count does not say when the new one has it.
  await until('a message', () => {
    served.driver.publish('news', '"again"')
    return got.length > 0
  })
  expect(got[0]).toBe('again')
})

test('Retry-After is obeyed', async () => {
  const timers = jest.spyOn(globalThis, 'setTimeout')
  refuse = { status: 503, headers: { 'retry-after': '3600' } }
  manual({ ...byFetch })
  await until('the wait', () => live?.status === 'waiting')
  const waits = timers.mock.calls.map(([, wait]) => wait)
  timers.mockRestore()
  expect(waits).toContain(3_600_000)
})

test('the last handler that goes unsubscribes, and a second one in between keeps the topic', async () => {
  const stop = manual().on('news', () => undefined)
  await stands()
  stop()
  const stopSecond = live!.on('news', () => undefined)
  stop()
  stopSecond()
  const changes = () => requests.filter((line) => line.startsWith('POST /subscriptions')).length
  await until('the topic to go', () => changes() === 2)
})

test('a topic that is refused is told of once', async () => {
  const losses: Loss[] = []
  manual().onLost((loss) => void losses.push(loss))
  live!.on('secret', () => undefined)
  await until('the refusal', () => losses.length === 1)
  expect(losses[0]).toMatchObject({ topic: 'secret', code: 'ERR_UNIFROST_FORBIDDEN_TOPIC' })
})

test.each([
  [false, 'closed'],
  [true, 'waiting'],
])('a goodbye with "reconnect": %s leaves the page %s', async (reconnect, status) => {
  goodbye = `event: unifrost-connection\ndata: {"closed":{"reason":"any","reconnect":${reconnect}}}\n\n`
  live = connect(at('/goodbye'), { EventSource, maxWait: 60_000 })
  await until('the end', () => live!.status === status)
})

test('a replaced client stays away', async () => {
  manual({ ...byFetch }).on('news', () => undefined)
  await stands()
  const other = new EventSource(at(`/events?id=${clientId()}`))
  try {
    await until('the end', () => live!.status === 'closed')
  } finally {
    other.close()
  }
})

describe('state', () => {
  test('what comes while it loads is applied to what was loaded', async () => {
    let answer: (sum: number) => void = () => undefined
    const load = jest.fn(() => new Promise<number>((resolve) => (answer = resolve)))
    const state = manual().state<string, number>('news', {
      load,
      apply: (sum, event) => sum + (event as number),
      initial: 0,
    })
    const seen: unknown[] = []
    const stop = state.subscribe((sum) => void seen.push(sum))
    await until('the load', () => load.mock.calls.length === 1)
    let last: unknown
    live!.onAny((data) => (last = data))
    served.driver.publish('news', '5')
    await until('the event', () => last === 5)
    expect(state.view()).toEqual({ data: 0, stale: true, error: undefined })
    answer(100)
    await until('the state', () => state.get() === 105)
    served.driver.publish('news', '7')
    await until('the next state', () => state.get() === 112)
    expect(seen).toEqual([0, 105, 112])
    stop()
  })

  test('it is loaded again after a new client, and keeps the last good state meanwhile', async () => {
    let loads = 0
    const state = manual().state<string, number>('news', {
      load: () => ++loads,
      apply: (sum, event) => sum + (event as number),
    })
    const lost = jest.fn()
    state.on('lost', lost)
    const stop = state.subscribe(() => undefined)
    await until('the first load', () => state.get() === 1)
    await forget()
    await until('the second load', () => state.get() === 2)
    expect(lost).toHaveBeenCalledWith(expect.objectContaining({ code: 'new-client' }))
    expect(state.view()).toEqual({ data: 2, stale: false, error: undefined })
    stop()
  })

  test.each([['manual'], ['automatic']])(
    'it is loaded again after a message that was refused, with a client that is %s',
    async (kind) => {
      let loads = 0
      const client = kind === 'manual' ? manual() : automatic()
      const state = client.state<string, number>('news', {
        load: () => ++loads,
        apply: (sum, event) => sum + (event as number),
      })
      const stop = state.subscribe(() => undefined)
      await until('the first load', () => state.get() === 1)
      served.driver.publish('news', Buffer.from([0xff]))
      await until('the second load', () => state.get() === 2)
      stop()
    },
  )

  test('an exact resume loads nothing', async () => {
    const load = jest.fn(() => 0)
    const state = manual().state<string, number>('news', {
      load,
      apply: (sum, event) => sum + (event as number),
    })
    const stop = state.subscribe(() => undefined)
    await until('the load', () => state.get() === 0)
    refuse = { status: 429 }
    served.server.closeAllConnections()
    await until('a wait', () => live!.status === 'waiting')
    served.driver.publish('news', '4')
    refuse = undefined
    await until('the event', () => state.get() === 4)
    expect(load).toHaveBeenCalledTimes(1)
    stop()
  })
})

test('an option that does not exist is refused, with the names of those that do', () => {
  expect(() => connect('/events', { shared: true } as ConnectOptions)).toThrow(
    /no option shared\. It has clients, subscriptions, headers/,
  )
})

test('addresses that go together are asked for together', () => {
  expect(() => connect('/events', { clients: '/clients' })).toThrow(/go together/)
})
