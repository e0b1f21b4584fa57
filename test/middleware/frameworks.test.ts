import { createServer as createHttp2, connect as connectHttp2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:http'
import cors from '@koa/cors'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import compress from 'koa-compress'
import helmet from 'koa-helmet'
import logger from 'koa-logger'
import type { MemoryDriver } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import { unifrostExpress } from 'unifrost/express'
import { unifrostKoa } from 'unifrost/koa'
import { openEvents, parseEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'
import { listen } from './support/apps.js'

let driver: MemoryDriver
let streamer: Streamer

beforeEach(async () => {
  driver = memoryDriver()
  streamer = new Streamer(driver)
  await streamer.newCustomClient('c')
  await streamer.subscribe('c', 'news')
})

afterEach(() => streamer.close())

test('plain node:http takes streamer.handle', async () => {
  const running = await listen((request, response) => void streamer.handle(request, response))
  const stream = await openEvents(`${running.url}/?id=c`)
  driver.publish('news', 'one')
  await stream.next('one', ({ data }) => data === 'one')
  const refused = await fetch(`${running.url}/?id=d`)
  expect(refused.status).toBe(401)
  expect(await refused.json()).toMatchObject({ error: { code: 'ERR_UNIFROST_NO_CLIENT' } })
  await streamer.close()
  await running.close()
})

test('Fastify hands its raw response over', async () => {
  const app = Fastify()
  app.get('/events', (request, reply) => {
    reply.hijack()
    void streamer.handle(request.raw, reply.raw)
  })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const stream = await openEvents(`${url}/events?id=c`)
  driver.publish('news', 'one')
  await stream.next('one', ({ data }) => data === 'one')
  await streamer.close()
  await app.close()
})

test('HTTP/2 streams through the compatibility API', async () => {
  const server = createHttp2((request, response) => void streamer.handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const stream = session.request({ ':path': '/?id=c', accept: 'text/event-stream' })
  let text = ''
  let headers: Record<string, unknown> = {}
  stream.on('response', (received) => (headers = received))
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  await until('the first message', () => parseEvents(text).length === 1)
  expect(headers).toMatchObject({
    ':status': 200,
    'content-type': 'text/event-stream; charset=utf-8',
  })
  expect(headers).not.toHaveProperty('connection')
  driver.publish('news', 'one')
  await until('one', () => parseEvents(text).some(({ data }) => data === 'one'))
  const big = 'x'.repeat(3_000_000)
  driver.publish('news', big)
  await until('a large message', () => parseEvents(text).some(({ data }) => data === big))
  const refused = session.request({ ':path': '/?id=d' })
  const status = new Promise((resolve) => {
    refused.on('response', (received) => resolve(received[':status']))
  })
  refused.resume()
  expect(await status).toBe(401)
  stream.close()
  await until('the disconnection', () => !streamer.getClient('c')?.connected)
  session.close()
  await new Promise((resolve) => server.close(resolve))
})

test('an Express router with a prefix, inside another, streams', async () => {
  const inner = express.Router()
  inner.use('/events', unifrostExpress(streamer))
  const outer = express.Router()
  outer.use('/v1', inner)
  const app = express()
  app.use('/api', outer)
  const running = await listen(app)
  const stream = await openEvents(`${running.url}/api/v1/events?id=c`)
  await stream.next('the first message', ({ event }) => event === 'message')
  await streamer.close()
  await running.close()
})

test('a response that is already sent, or whose peer has gone, is left alone', async () => {
  const app = express()
  app.use('/sent', (_request, response, next) => {
    response.end('sent')
    next()
  })
  app.use('/gone', (request, _response, next) => {
    request.once('close', () => next())
    request.destroy()
  })
  app.use(unifrostExpress(streamer))
  const running = await listen(app)
  expect(await (await fetch(`${running.url}/sent?id=c`)).text()).toBe('sent')
  await expect(fetch(`${running.url}/gone?id=c`)).rejects.toThrow()
  expect(streamer.getClient('c')?.connected).toBe(false)
  const stream = await openEvents(`${running.url}/?id=c`)
  expect(stream.status).toBe(200)
  await streamer.close()
  await running.close()
})

test('a middleware made from options carries its streamer', async () => {
  const middleware = unifrostExpress({ driver: memoryDriver(), clientTTL: 1_234 })
  expect(middleware.streamer.clientTTL).toBe(1_234)
  expect(() => unifrostKoa({ clientTTL: -1 })).toThrow('clientTTL')
  await middleware.streamer.close()
})

test('Koa middleware further out sees status, type and body, and a disconnect is no error', async () => {
  const errors: unknown[] = []
  const logged: string[] = []
  const seen: unknown[] = []
  const app = new Koa()
  app.on('error', (error) => errors.push(error))
  app.use(logger((text) => logged.push(text)))
  app.use(async (ctx, next) => {
    await next()
    seen.push(ctx.status, ctx.type, typeof (ctx.body as { pipe?: unknown }).pipe)
    ctx.set('X-Late', 'yes')
  })
  app.use(cors())
  app.use(helmet())
  app.use(compress({ threshold: 0 }))
  app.use(unifrostKoa(streamer))
  const running = await listen(app.callback())
  const stream = await openEvents(`${running.url}/?id=c`, {
    origin: 'http://example.test',
    'accept-encoding': 'gzip',
  })
  await stream.next('the first message', ({ event }) => event === 'message')
  expect(seen).toEqual([200, 'text/event-stream', 'function'])
  expect(stream.headers).toMatchObject({
    'x-late': 'yes',
    'access-control-allow-origin': '*',
    'x-content-type-options': 'nosniff',
  })
  expect(stream.headers['content-encoding']).toBeUndefined()
  stream.drop()
  await until('the disconnection', () => !streamer.getClient('c')?.connected)
  await until('the log line of the end', () => logged.length === 2)
  expect(errors).toEqual([])
  await running.close()
})

test('a Koa body that an outer middleware replaces leaves no client behind', async () => {
  const app = new Koa()
  app.use(async (ctx, next) => {
    await next()
    ctx.body = 'replaced'
  })
  app.use(unifrostKoa(streamer))
  const running = await listen(app.callback())
  expect(await (await fetch(`${running.url}/?id=c`)).text()).toBe('replaced')
  expect(streamer.getClient('c')?.connected).toBe(false)
  await running.close()
})

test('server.close ends by itself once the streamer is closed', async () => {
  const server = createServer((request, response) => void streamer.handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const stream = await openEvents(`${url}/?id=c`)
  const closed = new Promise((resolve) => server.close(resolve))
  await streamer.close()
  await stream.end()
  await closed
})
