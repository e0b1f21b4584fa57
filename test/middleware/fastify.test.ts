import cors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import fastify from 'fastify'
import type { MemoryDriver } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import type { UnifrostFastifyOptions } from 'unifrost/fastify'
import { unifrostFastify } from 'unifrost/fastify'
import { openEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'

let driver: MemoryDriver
let streamer: Streamer
let app: FastifyInstance

beforeEach(() => {
  driver = memoryDriver()
  streamer = new Streamer(driver)
  app = fastify()
})

afterEach(async () => {
  await app.close()
  await streamer.close()
})

async function start(options: Partial<UnifrostFastifyOptions> = {}): Promise<string> {
  await app.register(unifrostFastify, { streamer, ...options })
  return app.listen({ port: 0, host: '127.0.0.1' })
}

test('closes its streams with the application, which does not wait for browsers', async () => {
  const url = await start({ autoClient: { topics: ['a'] } })
  const stream = await openEvents(`${url}/events`)
  await stream.next('the first message', ({ event }) => event === 'message')
  await app.close()
  await stream.end()
  expect(stream.events.at(-1)?.data).toBe('Client closed')
  expect(streamer.health().ok).toBe(false)
})

test('drains over the time that it is given', async () => {
  const url = await start({ autoClient: { topics: ['a'] }, drainOver: 50 })
  const stream = await openEvents(`${url}/events`)
  await stream.next('the first message', ({ event }) => event === 'message')
  await app.close()
  await stream.end()
  expect(stream.text).toContain('retry:')
})

test('sends the headers that other plugins have set, on streams and on errors', async () => {
  await app.register(cors, { origin: 'https://app.example', credentials: true })
  const url = await start({ autoClient: { topics: ['a'] }, origins: 'https://app.example' })
  const headers = { origin: 'https://app.example' }
  const stream = await openEvents(`${url}/events`, headers)
  const expected = {
    'access-control-allow-origin': 'https://app.example',
    'access-control-allow-credentials': 'true',
  }
  expect(stream.status).toBe(200)
  expect(stream.headers).toMatchObject(expected)
  stream.drop()
  const refused = await app.inject({ url: '/events?id=nobody', headers })
  expect(refused.statusCode).toBe(401)
  expect(refused.headers).toMatchObject(expected)
})

test('is encapsulated: its log-in, its body parser and its error page are for its routes only', async () => {
  app.get('/open', (request) => ({ auth: Object(request).auth ?? 'none' }))
  app.post('/echo', (request) => request.body)
  app.get('/broken', () => {
    throw Object.assign(new Error('mine'), { statusCode: 400 })
  })
  await start({ prefix: '/live', authenticate: { verify: () => undefined } })
  expect((await app.inject('/open')).json()).toEqual({ auth: 'none' })
  const echo = await app.inject({ method: 'POST', url: '/echo', payload: { a: 1 } })
  expect(echo.json()).toEqual({ a: 1 })
  expect((await app.inject('/broken')).json()).toMatchObject({ message: 'mine', statusCode: 400 })
  const refused = await app.inject('/live/events?id=a')
  expect(refused.statusCode).toBe(401)
  expect(refused.headers['www-authenticate']).toBe('Bearer')
  expect((await app.inject('/events?id=a')).statusCode).toBe(404)
})

test('takes the user of a plugin that stands in front, such as @fastify/jwt', async () => {
  app.addHook('onRequest', async (request) => {
    Object.assign(request, { user: { sub: 'ann' } })
  })
  await start()
  const made = await app.inject({ method: 'POST', url: '/clients' })
  const { client_id: id } = made.json<{ client_id: string }>()
  expect(streamer.getClient(id)?.owner).toBe('ann')
})

test('streams to inject, as tests without a server use it', async () => {
  await app.register(unifrostFastify, { streamer, autoClient: { topics: ['a'] } })
  const response = await app.inject({ url: '/events', payloadAsStream: true })
  expect(response.statusCode).toBe(200)
  expect(response.headers['content-type']).toContain('text/event-stream')
  let text = ''
  const body = response.stream()
  body.setEncoding('utf8')
  body.on('data', (part: string) => (text += part))
  await until('the first message', () => text.includes('client_id'))
  driver.publish('a', 'one')
  await until('one', () => /^data: ?one$/m.test(text))
  await streamer.close()
  await until('the end', () => body.readableEnded)
  expect(text).toContain('Client closed')
})

test('describes its POST routes for OpenAPI', async () => {
  const schemas = new Map<string, unknown>()
  app.addHook('onRoute', ({ method, url, schema }) => {
    schemas.set(`${[method].flat().join()} ${url}`, schema?.body)
  })
  await start()
  expect(schemas.get('POST /subscriptions')).toMatchObject({
    required: ['client_id'],
    properties: { add: { type: 'array' } },
  })
  expect(schemas.get('POST /clients')).toMatchObject({ type: ['object', 'null'] })
})

test('gives callbacks the user in a type of the application’s', async () => {
  interface User {
    sub: string
    reads: string[]
  }
  await app.register(unifrostFastify<User>, {
    streamer,
    authenticate: { verify: (token) => ({ sub: token, reads: ['news'] }) },
    authorize: (user, topic) => user.reads.includes(topic),
    autoClient: true,
  })
  const ask = (topic: string) =>
    app.inject({
      method: 'HEAD',
      url: `/events?topic=${topic}`,
      headers: { authorization: 'Bearer ann' },
    })
  expect((await ask('news')).statusCode).toBe(200)
  expect((await ask('secret')).statusCode).toBe(403)
})

test('leaves out the routes whose paths are false', async () => {
  await start({ paths: { events: '/stream', clients: false, subscriptions: false } })
  expect((await app.inject({ method: 'POST', url: '/clients' })).statusCode).toBe(404)
  expect((await app.inject('/stream')).json()).toMatchObject({
    error: { code: 'ERR_UNIFROST_NO_ID' },
  })
})

test.each([
  ['no Streamer', {}, 'streamer takes a Streamer'],
  ['an option that it has not', { strem: 1 }, 'has no option strem'],
  ['a path that is none', { paths: { events: '' } }, 'such as "/events"'],
  ['a wrong list of topics', { autoClient: { topics: 5 } }, 'topics takes a list'],
  ['authenticate without verify', { authenticate: {} }, 'verify'],
])('does not start with %s', async (_what, options, message) => {
  const given = {
    ...(('strem' in options || Object.keys(options).length > 0) && { streamer }),
    ...options,
  }
  const registering = app.register(unifrostFastify, given as never)
  await expect(Promise.resolve(registering.ready())).rejects.toThrow(message)
  // Fastify keeps the failure for `close`, too.
  app = fastify()
})
