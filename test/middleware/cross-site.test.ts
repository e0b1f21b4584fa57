import express from 'express'
import express4 from 'express4'
import Koa from 'koa'
import Koa2 from 'koa2'
import request from 'supertest'
import type { HandleOptions } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { openEvents } from '../support/event-stream.js'
import { listen } from './support/apps.js'

const foreign = { cookie: 'sid=1', origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' }
const hidden = { cookie: 'sid=1', 'sec-fetch-site': 'cross-site' }
const friend = { ...foreign, origin: 'https://app.test' }
const origins = 'https://app.test'

let streamer: Streamer
let running: Awaited<ReturnType<typeof listen>>

beforeEach(() => (streamer = new Streamer(memoryDriver(), { maxConnectionsPerOwner: 1 })))
afterEach(async () => {
  await streamer.close()
  await running.close()
})

interface Options {
  proxy?: boolean
  origins?: string | string[]
}

function expressApp(factory: () => express.Express) {
  return ({ proxy, ...options }: Options): unknown => {
    const app = factory()
    if (proxy) app.set('trust proxy', 'loopback')
    app.use('/clients', forExpress.clients(streamer, options))
    const auto = { topics: ['a'], id: () => 'tab', ...options }
    app.use('/auto', forExpress.autoClient(streamer, auto))
    app.use(forExpress.unifrostExpress(streamer, options))
    return app
  }
}

function koaApp(Factory: new () => Koa) {
  return ({ proxy = false, ...options }: Options): unknown => {
    const app = new Factory()
    app.proxy = proxy
    app.silent = true
    const clients = forKoa.clients(streamer, options)
    const auto = forKoa.autoClient(streamer, { topics: ['a'], id: () => 'tab', ...options })
    app.use((ctx, next) => (ctx.path === '/clients' ? clients(ctx, next) : next()))
    app.use((ctx, next) => (ctx.path === '/auto' ? auto(ctx, next) : next()))
    app.use(forKoa.unifrostKoa(streamer, options))
    return app.callback()
  }
}

const frameworks = [
  { name: 'Express 5', build: expressApp(express) },
  { name: 'Express 4', build: expressApp(express4) },
  { name: 'Koa 3', build: koaApp(Koa) },
  { name: 'Koa 2', build: koaApp(Koa2) },
]

describe.each(frameworks)('$name', ({ build }) => {
  const start = async (options: Options) => {
    running = await listen(build(options) as never)
    return request(running.url)
  }

  test.each(['GET', 'HEAD'])(
    'another site’s page can’t end a user’s stream by %s',
    async (verb) => {
      const app = await start({})
      const own = await openEvents(`${running.url}/auto`, { cookie: 'sid=1' })
      expect(own.status).toBe(200)
      for (const headers of [foreign, hidden]) {
        for (const path of ['/auto', '/?id=tab']) {
          const answer = await (verb === 'GET' ? app.get(path) : app.head(path)).set(headers)
          expect([path, answer.status]).toEqual([path, 403])
        }
      }
      expect(own.ended).toBe(false)
      expect(streamer.getClient('tab')?.connected).toBe(true)
    },
  )

  test('another origin’s page opens the stream if `origins` has it', async () => {
    await start({ origins })
    expect((await openEvents(`${running.url}/auto`, friend)).status).toBe(200)
  })

  test.each([
    ['the browser’s host that the proxy names', 'http://n8n.lan:5678', 201],
    ['a port that the proxy has dropped', 'http://n8n.lan:9999', 403],
    ['another host', 'http://evil.lan', 403],
  ])('behind a proxy that changes Host: %s', async (_what, origin, status) => {
    const app = await start({ proxy: true })
    const headers = { cookie: 'sid=1', origin, 'x-forwarded-host': 'n8n.lan:5678' }
    expect((await app.post('/clients').set(headers)).status).toBe(status)
  })

  test('a proxy that nobody trusts names no host', async () => {
    const app = await start({})
    const headers = { cookie: 'sid=1', origin: 'http://a.lan', 'x-forwarded-host': 'a.lan' }
    expect((await app.post('/clients').set(headers)).status).toBe(403)
  })

  test.each([
    ['app.lan', 'https://app.lan', 201],
    ['app.lan', 'http://app.lan:8080', 201],
    ['app.lan:443', 'https://app.lan', 201],
    ['app.lan:8080', 'http://app.lan:9090', 403],
    ['app.lan.evil.test', 'http://app.lan', 403],
    ['app.lan', 'null', 403],
    ['app.lan', 'file://', 403],
    ['@app.lan', 'http://app.lan.evil.test', 403],
  ])('on plain http, host %s and origin %s', async (host, origin, status) => {
    const app = await start({})
    expect((await app.post('/clients').set({ cookie: 'sid=1', origin, host })).status).toBe(status)
  })

  test('`origins` as text is one origin, compared whole', async () => {
    const app = await start({ origins: 'https://app.example.com' })
    for (const [origin, status] of [
      ['https://app.example.com', 201],
      ['https://app.example.co', 403],
      ['https://app.example.com.evil.test', 403],
    ] as const) {
      expect((await app.post('/clients').set({ ...foreign, origin })).status).toBe(status)
    }
  })
})

test('`handle` refuses another site’s page as well, unless `origins` has it', async () => {
  const { id } = await streamer.newClient()
  const options: HandleOptions = { id, origins }
  running = await listen((req: never, res: never) => streamer.handle(req, res, options))
  expect((await request(running.url).get('/').set(foreign)).status).toBe(403)
  expect((await openEvents(running.url, friend)).status).toBe(200)
})

test.each([
  'https://app.example/',
  'https://app.example/path',
  'app.example',
  '*',
  'null',
  'https://*.example',
  'HTTPS://app.example',
  'https://app.example:443',
  '',
])('`origins` %p is refused: no page’s origin is written so', (wrong) => {
  running = { close: async () => undefined } as never
  for (const origins of [wrong, [wrong]]) {
    expect(() => forExpress.unifrostExpress(streamer, { origins })).toThrow('origins takes')
    expect(() => forKoa.clients(streamer, { origins })).toThrow('origins takes')
  }
})

test('an origin of an app’s own scheme is one', () => {
  running = { close: async () => undefined } as never
  forExpress.clients(streamer, { origins: ['capacitor://localhost', 'http://localhost:5173'] })
})
