import express from 'express'
import Koa from 'koa'
import request from 'supertest'
import type { StreamerOptions } from 'unifrost'
import { memoryDriver, OptionsError, Streamer, TopicNameError } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'

const topicsOf = (headers: Record<string, unknown>) => String(headers['x-topics']).split(',')

const frameworks = [
  {
    name: 'express',
    build(streamer: Streamer) {
      const app = express()
      app.set('env', 'test')
      const topics = (asked: express.Request) => topicsOf(asked.headers)
      app.use('/clients', forExpress.clients(streamer, { topics }))
      return app as never
    },
  },
  {
    name: 'koa',
    build(streamer: Streamer) {
      const app = new Koa()
      app.silent = true
      app.use(forKoa.clients(streamer, { topics: (ctx) => topicsOf(ctx.headers) }))
      return app.callback() as never
    },
  },
]

describe.each(frameworks)('topics that a new client has at once, with $name', ({ build }) => {
  let streamer: Streamer
  const start = (options: StreamerOptions = {}) => {
    streamer = new Streamer(
      Object.assign(memoryDriver(), {
        kindOf: (name: string) => (name.includes('*') ? ('wildcard' as const) : ('plain' as const)),
      }),
      options,
    )
  }
  afterEach(() => streamer.close())
  const post = (topics: string) =>
    request(build(streamer)).post('/clients').set('x-topics', topics).set('connection', 'close')

  test('are those that the server chooses', async () => {
    start()
    const { status, body } = await post('a,b,a')
    expect([status, body]).toMatchObject([201, { topics: ['a', 'b'] }])
    expect(streamer.getClient((body as { client_id: string }).client_id)?.topics).toEqual([
      'a',
      'b',
    ])
  })

  test.each([
    ['one that the Streamer does not allow', 'a,secret', 403],
    ["a wildcard of the broker's", 'a,b.*', 403],
    ['a name that is none', 'a,message', 400],
    ['more than a client may have', 'a,b,c,d', 400],
  ])('make no client where they have %s', async (_, topics, status) => {
    start({ maxTopics: 3, authorize: (_user, topic) => topic !== 'secret' })
    const answer = await post(topics)
    expect(answer.status).toBe(status)
    expect(streamer.totalClients).toBe(0)
  })
})

test('a list is checked where the middleware is made', async () => {
  const streamer = new Streamer(memoryDriver())
  expect(() => forExpress.clients(streamer, { topics: ['message'] })).toThrow(TopicNameError)
  expect(() => forExpress.clients(streamer, { topics: 'a' as never })).toThrow(OptionsError)
  await streamer.close()
})
