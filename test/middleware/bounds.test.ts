import { Agent, request as ask } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import express from 'express'
import Koa from 'koa'
import type { Driver, MemoryDriver, StreamerOptions } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { FakeEngine } from '../support/fake-directory.js'
import { turns } from '../support/stage.js'
import { until } from '../support/until.js'
import { listen } from './support/apps.js'

/** Everything that a flood may reach, counted. */
interface Counted {
  brokerCalls: number
  authorizeCalls: number
  /** The most calls of `authorize` that ran at once. */
  authorizedAtOnce: number
}

type Handler = (request: never, response: never) => void

let counted: Counted
let streamer: Streamer
let url: string
let stop: (() => Promise<void>) | undefined
const sockets: Socket[] = []

beforeEach(() => {
  counted = { brokerCalls: 0, authorizeCalls: 0, authorizedAtOnce: 0 }
})

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await streamer.close()
  await stop?.()
  stop = undefined
})

function make(options: StreamerOptions): void {
  const driver: MemoryDriver = memoryDriver()
  const counting: Driver = {
    subscribe(topic, sink) {
      counted.brokerCalls++
      return driver.subscribe(topic, sink)
    },
    close: () => driver.close(),
  }
  streamer = new Streamer(counting, options)
}

let running = 0
async function authorize(): Promise<boolean> {
  counted.authorizeCalls++
  counted.authorizedAtOnce = Math.max(counted.authorizedAtOnce, ++running)
  await turns()
  running--
  return true
}

/** The user is whoever the header says; without it there is none. */
const userOf = (headers: IncomingHttpHeaders) => {
  const name = headers['x-user']
  return typeof name === 'string' ? { sub: name } : undefined
}
interface Frame {
  name: string
  /** The stream with `autoClient`, `clients` and `subscriptions`. */
  build(redirect?: boolean): Handler
}

const frameworks: Frame[] = [
  {
    name: 'express',
    build(redirect = false) {
      const app = express()
      app.use((request, _response, next) => {
        Object.assign(request, { auth: userOf(request.headers) })
        next()
      })
      app.use('/clients', forExpress.clients(streamer))
      app.use('/subscriptions', forExpress.subscriptions(streamer, { authorize }))
      app.use(
        forExpress.autoClient(streamer, { authorize, redirect }),
        forExpress.unifrostExpress(streamer),
      )
      return app as Handler
    },
  },
  {
    name: 'koa, behind a middleware that takes a moment',
    build(redirect = false) {
      const app = new Koa()
      app.silent = true
      app.use((ctx, next) => {
        ctx.state.user = userOf(ctx.headers)
        return next()
      })
      app.use(async (_ctx, next) => {
        await next()
        for (let i = 0; i < 10; i++) await turns()
      })
      const routes: Record<string, Koa.Middleware> = {
        '/clients': forKoa.clients(streamer),
        '/subscriptions': forKoa.subscriptions(streamer, { authorize }),
      }
      app.use((ctx, next) => routes[ctx.path]?.(ctx, next) ?? next())
      app.use(forKoa.autoClient(streamer, { authorize, redirect }))
      app.use(forKoa.unifrostKoa(streamer))
      return app.callback()
    },
  },
]

async function start(handler: Handler): Promise<void> {
  const server = await listen(handler)
  url = server.url
  stop = () => server.close()
}

/** Sends the bytes on a socket of its own. @returns how many answers of a status have come so far */
function send(bytes: string): (status: number) => number {
  let text = ''
  const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(bytes))
  socket.on('data', (chunk) => (text += chunk.toString()))
  socket.on('error', () => undefined)
  sockets.push(socket)
  return (status) => text.split(`HTTP/1.1 ${status} `).length - 1
}

const get = (path: string, user?: string) =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\n${user === undefined ? '' : `X-User: ${user}\r\n`}\r\n`

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

function fetchOne(
  path: string,
  {
    method = 'GET',
    user,
    body,
    agent,
  }: Partial<Record<'method' | 'user', string>> & {
    body?: unknown
    agent?: Agent
  } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...(user !== undefined && { 'x-user': user }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    }
    const asked = ask(url + path, { method, headers, agent: agent ?? false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: text }),
      )
    })
    asked.on('error', reject)
    asked.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

const names = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `t${from + i}`)
const query = (topics: string[]) => `/?${topics.map((topic) => `topic=${topic}`).join('&')}`

describe.each(frameworks)('a flood by $name', ({ build }) => {
  test.each(['maxConnectionsPerAddress', 'maxConnectionsPerOwner'] as const)(
    'of requests in one packet reaches neither authorize nor the broker beyond %s',
    async (limit) => {
      make({ [limit]: 2 })
      await start(build())
      send(get('/?topic=a&topic=b', 'alice').repeat(50))
      await until('two streams', () => streamer.stats().connections === 2)
      expect(streamer.totalClients).toBe(2)
      expect(counted).toMatchObject({ brokerCalls: 2, authorizeCalls: 4 })
      // They wait in the pipeline of the first socket; those of another one are refused at once.
      if (limit === 'maxConnectionsPerOwner') return
      const answers = send(get('/?topic=a').repeat(20))
      await until('the refusals', () => answers(429) === 20)
      expect(counted.authorizeCalls).toBe(4)
    },
  )

  test('of sockets holds no more streams than the limit, and gives their room back', async () => {
    make({ maxConnectionsPerAddress: 3 })
    await start(build())
    for (let round = 0; round < 3; round++) {
      const answers = Array.from({ length: 30 }, () => send(get('/?topic=a')))
      const total = (status: number) => answers.reduce((sum, count) => sum + count(status), 0)
      await until('all answers', () => total(200) + total(429) === 30)
      expect(total(200)).toBe(3)
      expect(streamer.stats().connections).toBe(3)
      for (const socket of sockets.splice(0)) socket.destroy()
      await until('the end of the streams', () => streamer.stats().connections === 0)
    }
    expect(streamer.totalClients).toBe(0)
  })

  test('of HEAD requests opens no topic and leaves no client', async () => {
    make({ maxClients: 2, maxConnectionsPerAddress: 1 })
    await start(build())
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (let i = 0; i < 10; i++) {
      const { status, headers } = await fetchOne(query(names(20, i * 20)), {
        method: 'HEAD',
        agent,
      })
      expect([status, headers['content-type']]).toEqual([200, 'text/event-stream; charset=utf-8'])
    }
    agent.destroy()
    expect(counted.brokerCalls).toBe(0)
    await until('no client', () => streamer.totalClients === 0)
  })

  test('of new topics, by streams that come and go, keeps no more open than one address may', async () => {
    make({ maxConnectionsPerAddress: 1, maxTopics: 10 })
    await start(build())
    let most = 0
    for (let i = 0; i < 8; i++) {
      const answers = send(get(query(names(10, i * 10))))
      await until('the stream', () => answers(200) === 1)
      most = Math.max(most, streamer.stats().topics)
      sockets.pop()!.destroy()
      await until('its end', () => streamer.stats().connections === 0)
    }
    expect(counted.brokerCalls).toBe(80)
    expect(most).toBe(20)
    expect(streamer.stats().topics).toBe(20)
  })

  test('of names in one request never comes to authorize', async () => {
    make({ maxTopics: 8 })
    await start(build())
    const { id } = await streamer.newClient()
    const added = await fetchOne('/subscriptions', {
      method: 'POST',
      body: { client_id: id, add: names(500) },
    })
    const streamed = await fetchOne(query(names(200)))
    for (const { status, body } of [added, streamed]) {
      expect([status, JSON.parse(body)]).toMatchObject([
        400,
        { error: { code: 'ERR_UNIFROST_TOO_MANY_TOPICS' } },
      ])
      expect(body.length).toBeLessThan(300)
    }
    expect(counted).toMatchObject({ brokerCalls: 0, authorizeCalls: 0 })
    expect(streamer.totalClients).toBe(1)
  })

  test('of requests that each name many topics has maxAuthorizeCalls at once', async () => {
    make({ maxAuthorizeCalls: 5 })
    await start(build())
    const { id } = await streamer.newClient()
    const post = (topics: string[]) =>
      fetchOne('/subscriptions', { method: 'POST', body: { client_id: id, add: topics } })
    const answers = await Promise.all([0, 1, 2, 3].map((i) => post(names(30, i * 30))))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(counted).toMatchObject({ authorizeCalls: 120, authorizedAtOnce: 5 })
  })

  test('and rechecks have maxAuthorizeCalls of the authorize of the Streamer at once, too', async () => {
    make({ maxAuthorizeCalls: 5, authorize })
    await start(build())
    const made = await Promise.all([0, 1, 2, 3].map(() => streamer.newClient()))
    const add = names(30)
    for (const { id } of made) {
      const body = { client_id: id, add }
      await fetchOne('/subscriptions', { method: 'POST', body })
      send(`GET /?id=${id} HTTP/1.1\r\nHost: x\r\n\r\n`)
    }
    await until('the streams', () => made.every(({ connected }) => connected))
    counted.authorizeCalls = 0
    expect(await streamer.recheck()).toEqual({ clients: 4, withdrawn: 0, pending: [] })
    // Both are asked for each topic.
    expect(counted).toMatchObject({ authorizeCalls: 240, authorizedAtOnce: 5 })
  })

  test.each([
    ['POST', '/clients'],
    ['GET', '/?topic=a'],
  ])('of clients that never connect, by %s %s, leaves room for others', async (method, path) => {
    make({ maxClients: 100, maxConnectionsPerOwner: 2, maxConnectionsPerAddress: 2 })
    await start(build(true))
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const made = { mallory: 0, nobody: 0 }
    for (let i = 0; i < 60; i++) {
      const by = await fetchOne(path, { method, agent, user: 'mallory' })
      const without = await fetchOne(path, { method, agent })
      if (by.status < 400) made.mallory++
      if (without.status < 400) made.nobody++
      if (i === 59) {
        expect([by.status, by.headers['retry-after']]).toEqual([429, '5'])
        expect(by.body).toContain('ERR_UNIFROST_TOO_MANY_CLIENTS')
      }
    }
    expect(made).toEqual({ mallory: 32, nobody: 32 })
    expect((await fetchOne(path, { method, agent, user: 'alice' })).status).toBeLessThan(400)
    agent.destroy()
    await streamer.revoke('mallory', { for: 0 })
    expect((await fetchOne(path, { method, user: 'mallory' })).status).toBeLessThan(400)
  })
})

test('a body behind a parser is held to maxBodyBytes, also chunked and compressed', async () => {
  make({})
  const app = express()
  app.use(express.json({ limit: '5mb' }))
  app.use(forExpress.subscriptions(streamer, { maxBodyBytes: 1_000, authorize }))
  await start(app as Handler)
  const { id } = await streamer.newClient()
  const large = JSON.stringify({ client_id: id, add: names(10), remove: names(400) })
  const head = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
  const plain = send(`${head}Content-Length: ${large.length}\r\n\r\n${large}`)
  const size = large.length.toString(16)
  const chunked = send(`${head}Transfer-Encoding: chunked\r\n\r\n${size}\r\n${large}\r\n0\r\n\r\n`)
  await until('the refusals', () => plain(413) === 1 && chunked(413) === 1)
  const { gzipSync } = await import('node:zlib')
  const packed = gzipSync(large)
  expect(packed.length).toBeGreaterThan(0)
  const status = await new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' }
    ask(url, { method: 'POST', headers, agent: false }, (response) =>
      resolve(response.resume().statusCode),
    ).end(packed)
  })
  expect(status).toBe(413)
  const small = await fetchOne('/', { method: 'POST', body: { client_id: id, add: ['a'] } })
  expect(small.status).toBe(200)
  expect(counted.authorizeCalls).toBe(1)
})

test('streams of one HTTP/2 connection are counted like any others', async () => {
  make({ maxConnectionsPerAddress: 2 })
  const server = createHttp2Server((request, response) => {
    void streamer.newClient().then(({ id }) => streamer.handle(request, response, { id }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const statuses: unknown[] = []
  for (let i = 0; i < 20; i++) {
    const stream = session.request({ ':path': '/' })
    stream.on('response', (headers) => statuses.push(headers[':status']))
    stream.on('error', () => undefined).resume()
  }
  await until('all answers', () => statuses.length === 20)
  expect(statuses.filter((status) => status === 200)).toHaveLength(2)
  expect(streamer.stats().connections).toBe(2)
  session.destroy()
  await until('the end of the streams', () => streamer.stats().connections === 0)
  stop = () => new Promise((resolve) => server.close(() => resolve()))
})

test('streams that wait for the directory count from when they are admitted', async () => {
  const engine = new FakeEngine()
  make({ maxConnectionsPerOwner: 2, directory: engine.directory() })
  await streamer.open()
  const clients = await Promise.all(names(12).map(() => streamer.newClient({ owner: 'alice' })))
  await start((request, response) => void streamer.handle(request, response, { owner: 'alice' }))
  let waiting = 0
  let letGo: () => void = () => undefined
  const gate = new Promise<void>((resolve) => (letGo = resolve))
  engine.gate = async (verb) => {
    if (verb !== 'put') return
    waiting++
    await gate
  }
  const answers = clients.map(({ id }) => send(get(`/?id=${id}`)))
  const total = (status: number) => answers.reduce((sum, count) => sum + count(status), 0)
  await until('the refusals', () => total(429) === 10)
  expect(waiting).toBeLessThanOrEqual(2)
  letGo()
  await until('the streams', () => total(200) === 2)
  expect(streamer.stats().connections).toBe(2)
})

test('a request whose answer something else gives, or nothing, gives its room back', async () => {
  make({ maxConnectionsPerAddress: 1 })
  const app = express()
  app.use(forExpress.autoClient(streamer, { topics: ['a'] }))
  app.get('/other', (_request, response) => void response.send('other'))
  app.get('/silent', () => undefined)
  app.use(forExpress.unifrostExpress(streamer))
  await start(app as Handler)
  for (let i = 0; i < 3; i++) expect((await fetchOne('/other')).body).toBe('other')
  send(get('/silent'))
  await until('its client', () => streamer.totalClients === 1)
  const refused = send(get('/'))
  await until('the refusal', () => refused(429) === 1)
  sockets.shift()!.destroy()
  await until('its end', () => streamer.totalClients === 0)
  const stream = send(get('/'))
  await until('the stream', () => stream(200) === 1)
})

test('requests that wait in a pipeline give their room back when the connection breaks', async () => {
  make({ maxConnectionsPerAddress: 3 })
  const app = express()
  let admitted = 0
  app.use(forExpress.autoClient(streamer, { topics: ['a'] }))
  app.get('/silent', () => void admitted++)
  app.use(forExpress.unifrostExpress(streamer))
  await start(app as Handler)
  for (let round = 1; round <= 2; round++) {
    send(get('/silent').repeat(3))
    await until('the requests', () => admitted === 3 * round)
    sockets.pop()!.destroy()
    await until('room for a stream', async () => {
      const answer = send(get('/'))
      await until('an answer', () => answer(200) + answer(429) === 1)
      sockets.pop()!.destroy()
      return answer(200) === 1
    })
    await until('its end', () => streamer.stats().connections === 0)
  }
})

test('authorize is asked no more for a request whose sender has gone', async () => {
  make({ maxAuthorizeCalls: 1 })
  let asked = 0
  let isGone = false
  let answer: () => void = () => undefined
  const held = new Promise<void>((resolve) => (answer = resolve))
  const app = express()
  app.use((request, _response, next) => {
    request.socket.once('close', () => (isGone = true))
    next()
  })
  const slowly = async () => {
    asked++
    await held
    return true
  }
  app.use(forExpress.subscriptions(streamer, { authorize: slowly }))
  await start(app as Handler)
  const { id } = await streamer.newClient()
  const body = JSON.stringify({ client_id: id, add: names(50) })
  const head = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
  send(`${head}Content-Length: ${body.length}\r\n\r\n${body}`)
  await until('the first question', () => asked === 1)
  sockets.pop()!.destroy()
  await until('its end', () => isGone)
  answer()
  await turns()
  expect(asked).toBe(1)
  expect(counted.brokerCalls).toBe(0)
})
