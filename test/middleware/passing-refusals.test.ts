import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { EventSource } from 'eventsource'
import type { MemoryDriver, StreamerOptions } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import { KeysUnavailableError } from '../../src/errors.js'
import { openEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'
import type { App } from './support/apps.js'
import { apps, listen } from './support/apps.js'
import { mounts } from './support/mounts.js'

/** What Chromium, Firefox and WebKit send for an EventSource, by the standard. */
const EVENT_SOURCE = { accept: 'text/event-stream', 'cache-control': 'no-cache' }

let driver: MemoryDriver
let streamer: Streamer
let running: Awaited<ReturnType<typeof listen>>
let away = false

/** An app whose broker can be away. */
async function serve(app: App, options: StreamerOptions = {}, auto = true): Promise<void> {
  driver = memoryDriver()
  away = false
  const breakable = {
    subscribe: async (...details: Parameters<MemoryDriver['subscribe']>) => {
      if (away) throw new Error('no broker')
      return driver.subscribe(...details)
    },
    close: () => driver.close(),
  }
  streamer = new Streamer(breakable, { retry: { min: 150, max: 150 }, topicLinger: 0, ...options })
  const built = app.build({
    streamer,
    ...(auto && { auto: { topics: ['news'] } }),
    ownErrorPage: true,
  })
  running = await listen(built)
}

afterEach(async () => {
  await streamer.close()
  await running.close()
})

const everywhere = [...apps, ...mounts].map((app) => [app.name, app] as const)

describe.each(everywhere)('%s', (_, app) => {
  test('tells an EventSource in a stream that the broker is away, and it comes back', async () => {
    await serve(app)
    away = true
    const refused = await openEvents(`${running.url}/events`, EVENT_SOURCE)
    await refused.end()
    expect(refused.status).toBe(200)
    expect(refused.headers['content-type']).toBe('text/event-stream; charset=utf-8')
    if (!app.leavesConnections) expect(refused.headers.connection).toBe('close')
    expect(refused.text).toMatch(/^retry: 150\ndata: \{"error":\{"code":"ERR_UNIFROST_SUBSCRIBE",/)
    expect(refused.text.endsWith('\n\n')).toBe(true)
    // The browser keeps the position that it has.
    expect(refused.text).not.toContain('id:')
  })

  test('begins with the position that the browser names, and has the name of info messages', async () => {
    await serve(app, { infoEvent: 'unifrost' })
    away = true
    const headers = { ...EVENT_SOURCE, 'last-event-id': 'x-7' }
    const refused = await openEvents(`${running.url}/events`, headers)
    await refused.end()
    expect(refused.text).toMatch(
      /^:\nevent: unifrost-connection\nid: x-7\n\nretry: 150\nevent: unifrost\ndata: \{"error"/,
    )
  })

  test('gives everybody else the status and what the application makes of it', async () => {
    await serve(app)
    away = true
    for (const headers of [
      {},
      { accept: '*/*', 'cache-control': 'no-cache' },
      { accept: 'text/event-stream' },
      { accept: 'text/event-stream, application/json', 'cache-control': 'no-cache' },
    ]) {
      const refused = await openEvents(`${running.url}/events`, headers)
      expect({ headers, status: refused.status }).toEqual({ headers, status: 499 })
    }
  })

  test('gives an EventSource the status of what does not pass', async () => {
    await serve(app, {}, false)
    for (const address of ['/events?id=nobody', '/events']) {
      const refused = await openEvents(running.url + address, EVENT_SOURCE)
      expect(refused.status).toBe(499)
    }
  })

  test('gives an EventSource the status of what passes too, where the option says so', async () => {
    await serve(app, { passingRefusals: 'status' })
    away = true
    expect((await openEvents(`${running.url}/events`, EVENT_SOURCE)).status).toBe(499)
  })
})

const [express] = apps

describe('a browser', () => {
  let source: EventSource
  let page: { errors: (number | undefined)[]; infos: string[] }
  afterEach(() => source.close())

  function open(): void {
    page = { errors: [], infos: [] }
    source = new EventSource(`${running.url}/events`)
    source.onerror = ({ code }) => page.errors.push(code)
    source.onmessage = ({ data }) => page.infos.push(data as string)
  }

  const isOpen = () => streamer.stats().connections === 1 && source.readyState === source.OPEN

  test('comes back by itself when the broker is back', async () => {
    await serve(express!)
    away = true
    open()
    await until('a refusal', () => page.infos.some((info) => info.includes('SUBSCRIBE')))
    away = false
    await until('the stream', isOpen)
    expect(page.errors.filter((code) => code !== undefined)).toEqual([])
  })

  test('comes back by itself when there is room again', async () => {
    await serve(express!, { maxConnectionsPerAddress: 1 })
    const first = await openEvents(`${running.url}/events`)
    open()
    await until('a refusal', () => page.infos.some((info) => info.includes('TOO_MANY_CONNECTIONS')))
    first.drop()
    await until('the stream', isOpen)
  })

  test('goes on asking while the server is closed', async () => {
    await serve(express!)
    await streamer.close()
    open()
    await until('two refusals', () => page.infos.filter((it) => it.includes('CLOSED')).length > 1)
  })
})

test('a flood of refused requests opens nothing, and keeps nothing', async () => {
  await serve(express!, { maxConnectionsPerAddress: 1 })
  const first = await openEvents(`${running.url}/events`)
  const before = streamer.stats()
  const refused = await Promise.all(
    Array.from({ length: 30 }, () => openEvents(`${running.url}/events`, EVENT_SOURCE)),
  )
  await Promise.all(refused.map((stream) => stream.end()))
  expect(refused.every(({ text }) => text.includes('TOO_MANY_CONNECTIONS'))).toBe(true)
  expect(streamer.stats()).toEqual(before)
  first.drop()
})

test('streamer.handle and authenticate follow the rule as well', async () => {
  await serve(express!)
  const handler = await listen((request, response) => void streamer.handle(request, response))
  const verify = () => {
    throw new KeysUnavailableError(5, new Error('no keys'))
  }
  const authenticate = forExpress.authenticate({ verify, from: [() => 'token'] })
  const checked = await listen((request, response) => authenticate(request, response))
  await streamer.close()
  const refusals = await Promise.all(
    [`${handler.url}/?id=a`, checked.url].map((url) => openEvents(url, EVENT_SOURCE)),
  )
  await Promise.all(refusals.map((stream) => stream.end()))
  // Nobody has this id: that does not pass.
  expect(refusals.map(({ status }) => status)).toEqual([401, 200])
  expect(refusals[1]!.text).toMatch(/^retry: [2-5]\d{3}\ndata: .*ERR_UNIFROST_KEYS_UNAVAILABLE/)
  await Promise.all([handler.close(), checked.close()])
})

test('over HTTP/2 the refusal leaves the connection to the other requests', async () => {
  await serve(express!, { maxConnectionsPerAddress: 1 })
  await streamer.newCustomClient('one')
  await streamer.newCustomClient('two')
  const server = createHttp2Server((request, response) => void streamer.handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const ask = (id: string) => {
    const stream = session.request({ ':path': `/?id=${id}`, ...EVENT_SOURCE })
    let text = ''
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    return { stream, text: () => text }
  }
  const one = ask('one')
  await until('the stream', () => one.text().includes('config'))
  const two = ask('two')
  await until('its end', () => two.stream.closed)
  expect(two.text()).toContain('ERR_UNIFROST_TOO_MANY_CONNECTIONS')
  expect(one.stream.closed).toBe(false)
  session.destroy()
  await streamer.shutdown(server)
})
