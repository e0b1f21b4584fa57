import express from 'express'
import express4 from 'express4'
import Koa from 'koa'
import Koa2 from 'koa2'
import request from 'supertest'
import { memoryDriver, Streamer } from 'unifrost'
import { autoClient, clients, subscriptions, unifrostExpress } from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { rawRequest } from './support/raw.js'
import { until } from '../support/until.js'
import { listen } from './support/apps.js'

let streamer: Streamer
let running: Awaited<ReturnType<typeof listen>> | undefined

beforeEach(() => (streamer = new Streamer(memoryDriver())))
afterEach(async () => {
  await streamer.close()
  await running?.close()
  running = undefined
})

const page: express.ErrorRequestHandler = (error: Error, _request, response, _next) => {
  response.status(418).json({ page: error.message })
}

describe.each([
  ['Express 5', express],
  ['Express 4', express4],
])('%s', (_name, Express) => {
  async function answerOf(path: string, fill: (app: express.Express) => void) {
    const app = Express()
    app.set('env', 'development')
    fill(app)
    running = await listen(app as never)
    return request(running.url).get(path)
  }

  function expectJson(answer: { headers: Record<string, string>; text: string; status: number }) {
    expect(answer.status).toBe(401)
    expect(answer.headers['content-type']).toMatch(/^application\/json/)
    expect(answer.headers['x-content-type-options']).toBe('nosniff')
    expect(JSON.parse(answer.text)).toMatchObject({ error: { code: 'ERR_UNIFROST_NO_CLIENT' } })
    expect(answer.text).not.toMatch(/\.[jt]s:\d/)
  }

  test.each<[string, (app: express.Express) => void]>([
    ['in another router', (app) => void app.use('/api', Express.Router().use(page))],
    ['before the route', (app) => void app.use(page)],
    ['on another path', (app) => void app.use('/other', page)],
  ])('an error handler %s does not bring Express’s page with the stack', async (_what, add) => {
    const answer = await answerOf('/events?id=nobody', (app) => {
      add(app)
      app.use('/events', unifrostExpress(streamer))
      app.use('/other', page)
    })
    expectJson(answer)
  })

  test('an error handler that the error reaches answers it', async () => {
    const fill = (app: express.Express) =>
      void app.use('/events', unifrostExpress(streamer)).use(page)
    expect((await answerOf('/events?id=nobody', fill)).status).toBe(418)
  })

  test('in a mounted app, the handlers of the outer app are asked first', async () => {
    const inner = Express().use(unifrostExpress(streamer))
    expectJson(await answerOf('/in?id=nobody', (app) => void app.use('/in', inner)))
    await running?.close()
    const again = Express().use(unifrostExpress(streamer))
    const fill = (app: express.Express) => void app.use('/in', again).use(page)
    expect((await answerOf('/in?id=nobody', fill)).status).toBe(418)
  })

  test('a handler that is added after the first error is asked before us', async () => {
    const app = Express().use('/events', unifrostExpress(streamer))
    running = await listen(app as never)
    expectJson(await request(running.url).get('/events?id=nobody'))
    app.use(page)
    for (let i = 0; i < 2; i++) {
      expect((await request(running.url).get('/events?id=nobody')).status).toBe(418)
    }
  })

  test('other errors than ours get Express’s own answer', async () => {
    const answer = await answerOf('/other', (app) => {
      app.set('env', 'test')
      app.use('/events', unifrostExpress(streamer))
      app.use('/other', () => {
        throw Object.assign(new Error('theirs'), { status: 404 })
      })
    })
    expect(answer.status).toBe(404)
    expect(answer.headers['content-type']).toMatch(/html/)
  })
})

test('a name in a message makes no HTML where a handler sends the message', async () => {
  const app = express()
  app.use('/auto', autoClient(streamer, { authorize: () => false }), unifrostExpress(streamer))
  app.use('/subscriptions', subscriptions(streamer, { authorize: () => true }))
  app.use(((error: Error, _request, response, _next) => {
    response.status(400).send(error.message)
  }) as express.ErrorRequestHandler)
  running = await listen(app as never)
  const script = '<script>alert(1)</script>'
  const name = encodeURIComponent(script)
  const texts = [
    (await request(running.url).get(`/auto?topic=${name}`)).text,
    (
      await request(running.url)
        .post('/subscriptions')
        .send({ client_id: 'c', add: [`${script}\n`] })
    ).text,
  ]
  for (const text of texts) {
    expect(text).toContain('script')
    expect(text).not.toMatch(/[<>]/)
  }
})

test.each([
  ['Koa 3', Koa],
  ['Koa 2', Koa2],
])(
  '%s: what waits for a request that is broken off before its body goes on',
  async (_, Factory) => {
    const app = new Factory()
    app.silent = true
    let held = 0
    let arrived = 0
    app.use(async (_ctx, next) => {
      held++
      arrived++
      try {
        await next()
      } finally {
        held--
      }
    })
    app.use(async (ctx, next) => {
      await until('the request to be broken off', () => ctx.req.destroyed)
      await next()
    })
    const make = forKoa.clients(streamer)
    const change = forKoa.subscriptions(streamer)
    app.use((ctx, next) => (ctx.path === '/clients' ? make(ctx, next) : change(ctx, next)))
    running = await listen(app.callback())
    for (const path of ['/clients', '/subscriptions']) {
      const socket = await rawRequest(
        running.url,
        `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"a":`,
      )
      const before = arrived
      await until('the request to arrive', () => arrived > before || held > 0)
      socket.destroy()
      await until('the request to be let go', () => held === 0)
    }
    expect(arrived).toBe(2)
    expect(streamer.totalClients).toBe(0)
  },
)

test('a request that is broken off while `autoClient` asks leaves no client', async () => {
  let ask: () => void = () => undefined
  const asked = new Promise<void>((resolve) => (ask = resolve))
  let gone: () => void = () => undefined
  const broken = new Promise<void>((resolve) => (gone = resolve))
  const topics = async () => {
    ask()
    await broken
    return ['a']
  }
  const app = express().use(autoClient(streamer, { topics }), unifrostExpress(streamer))
  app.use('/clients', clients(streamer))
  running = await listen(app as never)
  const socket = await rawRequest(running.url, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await asked
  socket.destroy()
  await until(
    'the server to notice',
    () =>
      new Promise((resolve) => {
        running!.server.getConnections((_error, count) => resolve(count === 0))
      }),
  )
  gone()
  await until('the client to be gone', () => streamer.totalClients === 0)
})
