import { createServer as createHttp2, connect as connectHttp2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { bodyParser } from '@koa/bodyparser'
import express from 'express'
import express4 from 'express4'
import Koa from 'koa'
import Koa2 from 'koa2'
import koaBodyparser from 'koa-bodyparser'
import request from 'supertest'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { listen } from './support/apps.js'
import { rawRequest } from './support/raw.js'
import { until } from '../support/until.js'

/** Whoever reads a request's body first, the middleware answers. */

let streamer: Streamer
let running: Awaited<ReturnType<typeof listen>> | undefined

beforeEach(async () => {
  streamer = new Streamer(memoryDriver())
  await streamer.newCustomClient('c')
})
afterEach(async () => {
  await streamer.close()
  await running?.close()
  running = undefined
})

const allow = { authorize: () => true }

const onExpress = (factory: () => express.Express, ...before: express.RequestHandler[]) => {
  const app = factory().set('env', 'test')
  for (const middleware of before) app.use(middleware)
  app.use('/clients', forExpress.clients(streamer))
  return app.use('/subscriptions', forExpress.subscriptions(streamer, allow)) as unknown
}

const onKoa = (Factory: new () => Koa, ...before: Koa.Middleware[]) => {
  const app = new Factory()
  app.silent = true
  for (const middleware of before) app.use(middleware)
  const clients = forKoa.clients(streamer)
  const subscriptions = forKoa.subscriptions(streamer, allow)
  app.use((ctx, next) => (ctx.path === '/clients' ? clients(ctx, next) : subscriptions(ctx, next)))
  return app.callback()
}

/** Reads the whole body and keeps it, as hand-made middleware does. */
const readAll: express.RequestHandler = async (incoming, _response, next) => {
  const parts: Buffer[] = []
  for await (const part of incoming) parts.push(part as Buffer)
  incoming.body = Buffer.concat(parts)
  next()
}

const paused: express.RequestHandler = (incoming, _response, next) => {
  incoming.pause()
  setImmediate(next)
}

const asText: express.RequestHandler = (incoming, _response, next) => {
  incoming.setEncoding('utf8')
  next()
}

describe.each<[string, () => unknown]>([
  ['Express 5', () => onExpress(express)],
  ['Express 4', () => onExpress(express4)],
  ['express.json()', () => onExpress(express, express.json())],
  ['express.json() of Express 4', () => onExpress(express4, express4.json())],
  ['express.raw()', () => onExpress(express, express.raw({ type: '*/*' }))],
  ['express.text()', () => onExpress(express, express.text({ type: '*/*' }))],
  ['express.urlencoded()', () => onExpress(express, express.urlencoded())],
  ['a for await further out', () => onExpress(express, readAll)],
  ['a request that is paused', () => onExpress(express, paused)],
  ['a request that gives text', () => onExpress(express, asText)],
  ['Koa 3', () => onKoa(Koa)],
  ['Koa 2', () => onKoa(Koa2)],
  ['@koa/bodyparser', () => onKoa(Koa, bodyParser())],
  ['koa-bodyparser', () => onKoa(Koa, koaBodyparser())],
  ['koa-bodyparser on Koa 2', () => onKoa(Koa2, koaBodyparser())],
  ['koa-bodyparser for text', () => onKoa(Koa, koaBodyparser({ enableTypes: ['text', 'json'] }))],
])('behind %s', (_name, build) => {
  test.each<[string, Record<string, string>]>([
    ['no body and no type', { 'content-length': '0' }],
    ['no body, called JSON', { 'content-type': 'application/json', 'content-length': '0' }],
    ['no body and no length, called JSON', { 'content-type': 'application/json' }],
    [
      'an empty body in chunks, called JSON',
      { 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
    ],
  ])('a client is made for %s', async (_what, headers) => {
    running = await listen(build() as never)
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const body = 'transfer-encoding' in headers ? '0\r\n\r\n' : ''
    const socket = await rawRequest(
      running.url,
      `POST /clients HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${lines.join('')}\r\n${body}`,
    )
    let text = ''
    socket.setEncoding('utf8').on('data', (part: string) => (text += part))
    await until('the answer', () => text.includes('\r\n\r\n'))
    expect(text).toMatch(/^HTTP\/1\.1 201 /)
  })

  test('subscriptions reads the body, whole and too large', async () => {
    running = await listen(build() as never)
    const post = (body: object) => request(running!.url).post('/subscriptions').send(body)
    const answer = await post({ client_id: 'c', add: ['ä'] })
    expect(answer.body).toMatchObject({ added: ['ä'] })
    const large = await post({ client_id: 'c', add: ['b'], more: 'x'.repeat(66_000) })
    expect(large.status).toBe(413)
    expect(streamer.getClient('c')?.topics).toEqual(['ä'])
  })
})

test.each<[string, () => unknown]>([
  [
    'Express',
    () =>
      onExpress(express, async (incoming, _response, next) => {
        for await (const part of incoming) void part
        next()
      }),
  ],
  [
    'Koa',
    () =>
      onKoa(Koa, async (ctx, next) => {
        for await (const part of ctx.req) void part
        await next()
      }),
  ],
])(
  '%s: a body that somebody read and threw away is told, where it is needed',
  async (_name, build) => {
    running = await listen(build() as never)
    const made = await request(running.url).post('/clients').send({ any: 'thing' })
    expect(made.status).toBe(201)
    expect((await request(running.url).delete('/clients?id=c').send({ a: 1 })).status).toBe(204)
    const errors: unknown[] = []
    streamer.on('error', (error) => void errors.push(error))
    const answer = await request(running.url).post('/subscriptions').send({ client_id: 'c' })
    expect(answer.status).toBe(500)
    expect(answer.text).toContain('ERR_UNIFROST_OPTIONS')
  },
)

test('over HTTP/2, where a body needs no Content-Length', async () => {
  const app = onKoa(Koa)
  const server = createHttp2(app as never)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const post = async (path: string, body?: string) => {
    const stream = session.request(
      { ':method': 'POST', ':path': path, 'content-type': 'application/json' },
      { endStream: body === undefined },
    )
    const status = new Promise((resolve) => {
      stream.on('response', (headers) => resolve(headers[':status']))
    })
    stream.resume()
    if (body !== undefined) stream.end(body)
    return status
  }
  expect(await post('/clients')).toBe(201)
  expect(await post('/clients', '')).toBe(201)
  expect(await post('/subscriptions', '{"client_id":"c","add":["a"]}')).toBe(200)
  expect(streamer.getClient('c')?.topics).toEqual(['a'])
  session.close()
  await new Promise((resolve) => server.close(resolve))
})
