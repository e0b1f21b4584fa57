import type { MemoryDriver } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import request from 'supertest'
import { openEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'
import type { AppOptions } from './support/apps.js'
import { apps, listen } from './support/apps.js'
import { mounts } from './support/mounts.js'
import { slowReader } from './support/slow-reader.js'

type Running = Awaited<ReturnType<typeof listen>>

describe.each([...apps, ...mounts])('$name', ({ name, build, answersErrors = false }) => {
  let driver: MemoryDriver
  let streamer: Streamer
  let running: Running | undefined

  beforeEach(() => {
    driver = memoryDriver()
    streamer = new Streamer(driver)
  })

  afterEach(async () => {
    await streamer.close()
    await running?.close()
    running = undefined
  })

  async function start(options: Omit<AppOptions, 'streamer'> = {}): Promise<string> {
    running = await listen(build({ streamer, ...options }))
    return running.url
  }

  test('streams a client: first message, topics, and what it missed', async () => {
    const url = await start()
    const client = await streamer.newClient()
    await streamer.subscribe(client.id, 'news')
    const stream = await openEvents(`${url}/events?id=${client.id}`)
    expect(stream.status).toBe(200)
    expect(stream.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    })
    expect(stream.headers['content-encoding']).toBeUndefined()
    await stream.next('the first message', ({ event }) => event === 'message')
    expect(stream.infos[0]).toEqual({
      config: { client_id: client.id, client_ttl_millis: 60_000 },
      subscriptions: ['news'],
    })

    driver.publish('news', 'one')
    const { id } = await stream.next('one', ({ data }) => data === 'one')
    stream.drop()
    await until('the disconnection', () => !client.connected)
    driver.publish('news', 'two')
    const again = await openEvents(`${url}/events?id=${client.id}`, { 'last-event-id': id })
    await again.next('two', ({ data }) => data === 'two')
    expect(again.events.filter(({ event }) => event === 'news').map(({ data }) => data)).toEqual([
      'two',
    ])
  })

  test('waits for a client that does not read, and loses nothing of what it reads later', async () => {
    const url = await start()
    const client = await streamer.newClient()
    await streamer.subscribe(client.id, 'news')
    const reader = await slowReader(`${url}/events?id=${client.id}`)
    await until('the stream', () => client.connected)
    const body = 'x'.repeat(50_000)
    for (let n = 0; streamer.stats().stalled.connections === 0; n++) {
      driver.publish('news', `${n}:${body}`)
      await new Promise(setImmediate)
      if (n > 1_000) throw new Error('50 MB were written to a client that reads nothing.')
    }
    driver.publish('news', 'the last one')
    const text = await reader.readUntil('the last one')
    const numbers = [...text.matchAll(/^data: ?(\d+):/gm)].map(([, n]) => Number(n))
    expect(numbers).toEqual(numbers.map((_, index) => index))
    expect(numbers.length).toBeGreaterThan(1)
    expect(text).not.toContain('messages-lost')
    reader.drop()
    await until('the disconnection', () => !client.connected)
    expect(streamer.stats()).toMatchObject({ connections: 0, stalled: { connections: 0 } })
  })

  test('ends in order when the streamer closes', async () => {
    const url = await start()
    const client = await streamer.newClient()
    const stream = await openEvents(`${url}/events?id=${client.id}`)
    await streamer.close()
    await stream.end()
    expect(stream.events.at(-1)).toMatchObject({ event: 'message', data: 'Client closed' })
    expect(running?.server.listening).toBe(true)
  })

  test('answers HEAD with the headers alone', async () => {
    const url = await start()
    const client = await streamer.newClient()
    const answer = await request(url).head(`/events?id=${client.id}`)
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe('text/event-stream; charset=utf-8')
    expect(client.connected).toBe(false)
  })

  test.each([
    ['no id', '/events', {}, 400, 'ERR_UNIFROST_NO_ID'],
    ['an unknown id', '/events?id=nobody', {}, 401, 'ERR_UNIFROST_NO_CLIENT'],
    ['a wrong Accept', '/events?id=c', { accept: 'text/html' }, 406, 'ERR_UNIFROST_NOT_ACCEPTABLE'],
    ['somebody else’s client', '/events?id=owned', {}, 403, 'ERR_UNIFROST_NOT_OWNER'],
  ])('refuses %s with JSON and no stack', async (_what, path, headers, status, code) => {
    const url = await start()
    await streamer.newCustomClient('c')
    await streamer.newCustomClient('owned', { owner: 'alice' })
    const answer = await request(url).get(path).set(headers)
    expect(answer.status).toBe(status)
    if (!answersErrors) {
      expect(answer.headers['content-type']).toMatch(/^application\/json/)
      expect(answer.body).toEqual({ error: { code, message: expect.any(String) as string } })
    }
    expect(answer.text).not.toMatch(/\.ts|\.js|node_modules|\bat /)
  })

  test('refuses other methods with 405 and Allow', async () => {
    const url = await start()
    const answer = await request(url).put('/events?id=c')
    expect(answer.status).toBe(405)
    expect(answer.headers.allow).toBe('GET, HEAD')
  })

  test('leaves the error page to the application', async () => {
    const url = await start({ ownErrorPage: true })
    const answer = await request(url).get('/events')
    expect(answer.status).toBe(499)
    expect(answer.body).toEqual({ page: 'ERR_UNIFROST_NO_ID' })
  })

  test('authenticates by header, cookie and query, and serves owners only', async () => {
    const url = await start({ authenticated: true })
    const none = await request(url).post('/clients')
    expect(none.status).toBe(401)
    expect(none.headers['www-authenticate']).toBe('Bearer')
    const wrong = await request(url).post('/clients').set('authorization', 'Bearer wrong')
    expect(wrong.status).toBe(401)
    expect(wrong.headers['www-authenticate']).toBe('Bearer error="invalid_token"')

    const made = await request(url).post('/clients').set('authorization', 'Bearer user-1')
    expect(made.status).toBe(201)
    const { client_id: id, client_ttl_millis: ttl } = made.body as Record<string, string>
    expect(ttl).toBe(60_000)
    expect(streamer.getClient(id!)?.owner).toBe('user-1')
    const foreign = await request(url).get(`/events?id=${id}&token=user-2`)
    expect(foreign.status).toBe(403)
    for (const [path, headers] of [
      [`/events?id=${id}&token=user-1`, {}],
      [`/events?id=${id}`, { cookie: 'a=b; token=user-1' }],
    ] as const) {
      const stream = await openEvents(url + path, headers)
      expect(stream.status).toBe(200)
    }
    const others = await request(url).delete(`/clients?id=${id}&token=user-2`)
    expect(others.status).toBe(403)
    const removed = await request(url).delete(`/clients?id=${id}&token=user-1`)
    expect(removed.status).toBe(204)
    expect(streamer.totalClients).toBe(0)
  })

  test('changes subscriptions as far as authorize allows', async () => {
    const url = await start({ allow: (_principal, topic) => topic.startsWith('open.') })
    const { id } = await streamer.newCustomClient('c')
    await streamer.subscribe(id, 'open.old')
    const post = (body: unknown) =>
      request(url)
        .post('/subscriptions')
        .send(body as object)
    const answer = await post({ client_id: id, add: ['open.new', 'secret'], remove: ['open.old'] })
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({
      client_id: id,
      topics: ['open.new'],
      added: ['open.new'],
      removed: ['open.old'],
      refused: [
        {
          topic: 'secret',
          code: 'ERR_UNIFROST_FORBIDDEN_TOPIC',
          message: 'You may not subscribe to "secret".',
        },
      ],
    })
    expect((await post({ client_id: id, add: ['secret'] })).status).toBe(403)
    expect((await request(url).get('/subscriptions')).status).toBe(405)
  })

  test('denies every topic without authorize', async () => {
    const url = await start()
    const { id } = await streamer.newCustomClient('c')
    const answer = await request(url)
      .post('/subscriptions')
      .send({ client_id: id, add: ['a'] })
    expect(answer.status).toBe(403)
    expect(streamer.getClient(id)?.topics).toEqual([])
  })

  test.each([
    ['a broken body', '{"client_id":', 'application/json', 400],
    ['a body that is no object', '[1]', 'application/json', 400],
    ['a body without client_id', '{"add":["a"]}', 'application/json', 400],
    ['an add that is no array', '{"client_id":"c","add":"a"}', 'application/json', 400],
    ['a name that is no string', '{"client_id":"c","add":[5]}', 'application/json', 400],
    ['a reserved name', '{"client_id":"c","add":["open"]}', 'application/json', 400],
    ['a name with a line break', '{"client_id":"c","add":["a\\nb"]}', 'application/json', 400],
    ['a body in another form', 'client_id=c', 'application/x-www-form-urlencoded', 415],
    ['an unknown client', '{"client_id":"nobody"}', 'application/json', 401],
  ])('refuses %s', async (_what, body, type, status) => {
    const url = await start({ allow: () => true })
    await streamer.newCustomClient('c')
    const answer = await request(url).post('/subscriptions').set('content-type', type).send(body)
    expect(answer.status).toBe(status)
    // What a body parser in front refuses is answered by it, not by us.
    if (!name.includes('parser')) {
      const shape = { error: { code: expect.any(String) as string } }
      if (!answersErrors) expect(answer.body).toMatchObject(shape)
      expect(answer.text).not.toMatch(/\.ts|\.js|node_modules|\bat /)
    }
    expect(streamer.getClient('c')?.topics).toEqual([])
  })

  test('refuses a body that is too large', async () => {
    const url = await start({ allow: () => true })
    await streamer.newCustomClient('c')
    const body = { client_id: 'c', add: Array.from({ length: 200 }, (_, i) => `topic ${i}`) }
    const answer = await request(url).post('/subscriptions').send(body)
    expect(answer.status).toBe(413)
    expect(streamer.getClient('c')?.topics).toEqual([])
  })

  test('makes a client that needs nothing but its URL and its position', async () => {
    const url = await start({ auto: {}, allow: (_principal, topic) => topic !== 'secret' })
    const stream = await openEvents(`${url}/events?topic=a&topic=b`)
    await stream.next('the first message', ({ event }) => event === 'message')
    expect(stream.infos[0]).toMatchObject({ subscriptions: ['a', 'b'] })
    driver.publish('b', '1')
    await stream.next('1', ({ data }) => data === '1')
    stream.drop()
    await until('the client to leave', () => streamer.totalClients === 0)
    driver.publish('a', '2')
    driver.publish('b', '3')
    const again = await openEvents(`${url}/events?topic=a&topic=b`, {
      'last-event-id': stream.lastEventId,
    })
    await again.next('3', ({ data }) => data === '3')
    expect(again.events.map(({ event, data }) => [event, data]).slice(1)).toEqual([
      ['a', '2'],
      ['b', '3'],
    ])
    const refused = await request(url).get('/events?topic=a&topic=secret')
    expect(refused.status).toBe(403)
    expect(refused.text).toContain('secret')
    await until('no client left over', () => streamer.totalClients === 1)
  })

  test('redirects to an address with an id', async () => {
    const url = await start({ auto: { topics: ['a'], redirect: true } })
    const answer = await request(url).get('/events?x=1')
    expect(answer.status).toBe(307)
    const location = new URL(answer.headers.location!, `${url}/events?x=1`)
    expect(location.pathname).toBe('/events')
    expect(location.searchParams.get('x')).toBe('1')
    const stream = await openEvents(location.href)
    await stream.next('the first message', ({ event }) => event === 'message')
    expect(stream.infos[0]).toMatchObject({ subscriptions: ['a'] })
  })

  test('finds a client again whose id the server knows', async () => {
    const url = await start({ auto: { topics: ['a'], id: 'fixed' } })
    const stream = await openEvents(`${url}/events`)
    await streamer.subscribe('fixed', 'later')
    stream.drop()
    await until('the disconnection', () => !streamer.getClient('fixed')?.connected)
    const again = await openEvents(`${url}/events`)
    await again.next('the first message', ({ event }) => event === 'message')
    expect(again.infos[0]).toMatchObject({ subscriptions: ['a', 'later'] })
  })

  test('answers 500 without details when authorize throws, and goes on', async () => {
    const url = await start({
      allow: () => {
        throw new Error('the database is at 10.0.0.1')
      },
    })
    const { id } = await streamer.newCustomClient('c')
    const answer = await request(url)
      .post('/subscriptions')
      .send({ client_id: id, add: ['a'] })
    expect(answer.status).toBe(500)
    expect(answer.text).not.toContain('database')
    expect((await openEvents(`${url}/events?id=c`)).status).toBe(200)
  })
})
