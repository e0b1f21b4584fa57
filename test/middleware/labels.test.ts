import express from 'express'
import Koa from 'koa'
import request from 'supertest'
import { memoryDriver, OptionsError, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forFetch from 'unifrost/fetch'
import * as forKoa from 'unifrost/koa'
import { openEvents } from '../support/event-stream.js'
import { listen } from './support/apps.js'

/** What a request's user is made of: the tenant that its header names. */
const user = (headers: Record<string, unknown>) => ({ id: 'ann', tenant: headers['x-tenant'] })
const labels = ({ tenant }: { tenant: string }) => ({ tenant })

const frameworks = [
  {
    name: 'express',
    build(streamer: Streamer) {
      const principal = (asked: express.Request) => user(asked.headers) as never
      const { autoClient, clients, unifrostExpress } = forExpress
      const app = express()
      app.set('env', 'test')
      app.use('/events', autoClient(streamer, { topics: ['news'], principal, labels }))
      app.use('/events', unifrostExpress(streamer, { principal }))
      app.use('/clients', clients(streamer, { principal, labels }))
      return app as never
    },
  },
  {
    name: 'koa',
    build(streamer: Streamer) {
      const principal = (ctx: Koa.Context) => user(ctx.headers) as never
      const { autoClient, clients, unifrostKoa } = forKoa
      const app = new Koa()
      app.silent = true
      const at = (path: string, middleware: Koa.Middleware) =>
        app.use((ctx, next) => (ctx.path === path ? middleware(ctx, next) : next()))
      at('/events', autoClient(streamer, { topics: ['news'], principal, labels }))
      at('/events', unifrostKoa(streamer, { principal }))
      at('/clients', clients(streamer, { principal, labels }))
      return app.callback() as never
    },
  },
]

describe.each(frameworks)('labels, with $name', ({ build }) => {
  let streamer: Streamer
  let server: Awaited<ReturnType<typeof listen>>
  beforeEach(async () => {
    streamer = new Streamer(memoryDriver())
    server = await listen(build(streamer))
  })
  afterEach(async () => {
    await streamer.close()
    await server.close()
  })

  test('mark the clients that are made, so that a label means all of them', async () => {
    const stream = await openEvents(`${server.url}/events`, { 'x-tenant': 'acme' })
    await request(server.url).post('/clients').set('x-tenant', 'acme').expect(201)
    await request(server.url).post('/clients').set('x-tenant', 'other').expect(201)
    const done = await streamer.subscribe({ tenant: 'acme' }, 'room')
    expect(done).toEqual({ clients: 2, automatic: 1, pending: [] })
    ;(streamer.driver as ReturnType<typeof memoryDriver>).publish('room', 'hello')
    expect((await stream.next('the message', ({ event }) => event === 'room')).data).toBe('hello')
    stream.drop()
  })

  test('that were revoked are refused, and no others', async () => {
    expect(await streamer.revoke({ tenant: 'acme' })).toEqual({ ended: 0, pending: [] })
    await request(server.url).get('/events').set('x-tenant', 'acme').expect(401)
    await request(server.url).post('/clients').set('x-tenant', 'acme').expect(401)
    await request(server.url).post('/clients').set('x-tenant', 'other').expect(201)
  })
})

test('labels that are none are an error of the application, not of the client', async () => {
  const streamer = new Streamer(memoryDriver())
  const errors: unknown[] = []
  streamer.on('error', (error) => errors.push(error))
  const make = forFetch.clients(streamer, { labels: () => ({ owner: 'x' }) })
  const answer = await make(new Request('http://a/clients', { method: 'POST' }))
  expect(answer.status).toBe(500)
  expect(streamer.totalClients).toBe(0)
  expect(() => forExpress.clients(streamer, { labels: {} as never })).toThrow(OptionsError)
  await streamer.close()
})
