import { createServer } from 'node:http'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import type { MemoryDriver } from 'unifrost'
import { memoryDriver, OptionsError, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import { unifrostFastify } from 'unifrost/fastify'
import * as forFetch from 'unifrost/fetch'
import * as forKoa from 'unifrost/koa'
import type { AppUnderTest } from 'unifrost/testing/app'
import { expectEvent, openStream } from 'unifrost/testing/app'

const topics = ['news']

const apps: Record<string, (streamer: Streamer) => AppUnderTest | Promise<AppUnderTest>> = {
  'an app of Express': (streamer) => {
    const app = express()
    app.use(
      '/events',
      forExpress.autoClient(streamer, { topics }),
      forExpress.unifrostExpress(streamer),
    )
    return app
  },
  'an app of Koa': (streamer) => {
    const app = new Koa()
    app.silent = true
    app.use(forKoa.autoClient(streamer, { topics }))
    app.use(forKoa.unifrostKoa(streamer))
    return app
  },
  'an app of Fastify': async (streamer) => {
    const app = fastify()
    await app.register(unifrostFastify, { streamer, autoClient: { topics } })
    return app
  },
  'an app of Hono': (streamer) => {
    const app = new Hono()
    const events = forFetch.autoClient(streamer, { topics })(forFetch.handler(streamer))
    return app.get('/events', ({ req }) => events(req.raw))
  },
  "a server of Node's": (streamer) => {
    const auto = forExpress.autoClient(streamer, { topics })
    const stream = forExpress.unifrostExpress(streamer)
    return createServer((request, response) =>
      auto(request, response, () => stream(request, response)),
    )
  },
}

describe.each(Object.keys(apps))('a stream of %s, under test', (name) => {
  let streamer: Streamer
  let driver: MemoryDriver
  let app: AppUnderTest
  beforeEach(async () => {
    driver = memoryDriver()
    streamer = new Streamer(driver)
    app = await apps[name]!(streamer)
  })
  afterEach(() => streamer.close())

  test('gives its events in their order, as text, pattern or JSON', async () => {
    const stream = await openStream(app)
    await expectEvent(stream, 'message', /client_id/)
    expect(streamer.getClient(stream.clientId!)?.topics).toEqual(topics)
    driver.publish('news', 'one')
    driver.publish('news', '{"n":2}')
    driver.publish('news', 'drei – 3')
    expect(await expectEvent(stream, 'news')).toMatchObject({ event: 'news', data: 'one' })
    await expectEvent(stream, 'news', { n: 2 })
    await expectEvent(stream, { data: /^drei – 3$/ })
    await stream.close()
  })

  test('goes on where it was after it was cut', async () => {
    const stream = await openStream(app)
    await expectEvent(stream, 'message')
    driver.publish('news', 'before')
    await expectEvent(stream, 'news', 'before')
    const again = stream.reconnect()
    driver.publish('news', 'meanwhile')
    const second = await again
    expect(await expectEvent(second, 'news', 'meanwhile')).toBeDefined()
    expect(second.events.filter(({ event }) => event === 'news')).toHaveLength(1)
    await second.close()
  })
})

describe('what expectEvent says', () => {
  let streamer: Streamer
  let driver: MemoryDriver
  let app: AppUnderTest
  beforeEach(() => {
    driver = memoryDriver()
    streamer = new Streamer(driver)
    app = apps['an app of Express']!(streamer) as AppUnderTest
  })
  afterEach(() => streamer.close())

  test('of a message that did not come: what came instead', async () => {
    const stream = await openStream(app)
    await expectEvent(stream, 'message')
    driver.publish('news', 'another')
    await expectEvent(stream, 'news')
    const error = await expectEvent(stream, 'news', 'this', { timeout: 50 }).catch(
      (it: Error) => it.message,
    )
    expect(error).toBe('Expected the event "news" with "this"; 50 ms have passed. Nothing came.')
    driver.publish('news', 'another')
    await expect(expectEvent(stream, 'news', 'this', { timeout: 300 })).rejects.toThrow(
      'What came, the newest last:\n  news: another',
    )
    await stream.close()
  })

  test('of a refused request: its status and its answer', async () => {
    const stream = await openStream(app, '/events?id=nobody')
    expect(stream.status).toBe(401)
    await expect(expectEvent(stream, 'news')).rejects.toThrow(/no stream, but 401.*NO_CLIENT/)
    await stream.close()
  })

  test('of a stream that has ended: at once, not after its time', async () => {
    const stream = await openStream(app)
    await expectEvent(stream, 'message')
    await streamer.close()
    await expectEvent(stream, 'message', 'Client closed')
    await expect(expectEvent(stream, 'news', 'x', { timeout: 60_000 })).rejects.toThrow(
      'the stream has ended',
    )
    await stream.close()
  })

  test.each([[null], [5], [{}]])('%p is no app', async (given) => {
    await expect(openStream(given as never)).rejects.toThrow(OptionsError)
  })
})

test('an app that listens already is left listening', async () => {
  const streamer = new Streamer(memoryDriver())
  const server = createServer(apps['an app of Express']!(streamer) as express.Express)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  for (const target of [server, `http://127.0.0.1:${port}/`]) {
    const stream = await openStream(target)
    await expectEvent(stream, 'message')
    await stream.close()
  }
  expect(server.listening).toBe(true)
  await streamer.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})
