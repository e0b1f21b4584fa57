import express from 'express'
import Koa from 'koa'
import request from 'supertest'
import type { MemoryDriver, StreamerOptions } from 'unifrost'
import { AuthenticationError, memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { FakeEngine } from '../support/fake-directory.js'
import type { EventStream } from '../support/event-stream.js'
import { openEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'
import { listen } from './support/apps.js'

interface Options {
  auto?: {
    topics?: string[] | (() => unknown)
    id?: () => unknown
    redirect?: boolean
    authorize?: (user: unknown, topic: string) => boolean
    wildcards?: boolean | string[]
  }
  authorize?: (user: unknown, topic: string) => boolean
}

type Frameworks = { name: string; build(streamer: Streamer, options: Options): never }[]

const USER = { sub: 'ann' }
const frameworks: Frameworks = [
  {
    name: 'express',
    build(streamer, { auto, authorize }) {
      const { autoClient, clients, subscriptions, unifrostExpress } = forExpress
      const app = express()
      app.set('env', 'test')
      app.use((asked, _response, next) => {
        Object.assign(asked, { user: USER })
        next()
      })
      if (auto)
        app.use(
          '/events',
          autoClient(streamer, auto as forExpress.AutoClientOptions<express.Request>),
        )
      app.use('/events', unifrostExpress(streamer))
      app.use('/clients', clients(streamer))
      app.use('/subscriptions', subscriptions(streamer, { ...(authorize && { authorize }) }))
      return app as never
    },
  },
  {
    name: 'koa',
    build(streamer, { auto, authorize }) {
      const { autoClient, clients, subscriptions, unifrostKoa } = forKoa
      const app = new Koa()
      app.silent = true
      app.use((ctx, next) => {
        ctx.state.user = USER
        return next()
      })
      const at = (path: string, middleware: Koa.Middleware) =>
        app.use((ctx, next) => (ctx.path === path ? middleware(ctx, next) : next()))
      if (auto) at('/events', autoClient(streamer, auto as forKoa.AutoClientOptions<Koa.Context>))
      at('/events', unifrostKoa(streamer))
      at('/clients', clients(streamer))
      at('/subscriptions', subscriptions(streamer, { ...(authorize && { authorize }) }))
      return app.callback() as never
    },
  },
]

const forbidden = (stream: EventStream) =>
  stream.infos.flatMap(({ error }) => {
    const { code, topic } = Object(error) as { code?: string; topic?: string }
    return code === 'forbidden-topic' ? [topic] : []
  })
const subscribed = (stream: EventStream) => stream.infos[0]?.subscriptions

describe.each(frameworks)('rights, with $name', ({ build }) => {
  let driver: MemoryDriver
  let streamer: Streamer
  let stop: (() => Promise<void>)[]

  beforeEach(() => {
    stop = []
  })
  afterEach(async () => {
    for (const end of stop.reverse()) await end()
  })

  async function start(options: Options, settings: StreamerOptions = {}): Promise<string> {
    driver = memoryDriver()
    const made = new Streamer(driver, settings)
    streamer = made
    const running = await listen(build(made, options))
    stop.push(
      () => running.close(),
      () => made.close(),
    )
    return running.url
  }

  async function open(url: string, headers?: Record<string, string>): Promise<EventStream> {
    const stream = await openEvents(url, headers)
    if (stream.status === 200) await stream.next('the first message', () => true)
    return stream
  }

  async function add(url: string, id: string, body: object) {
    return request(url)
      .post('/subscriptions')
      .send({ client_id: id, ...body })
  }

  test('a right that was withdrawn does not come back with its backlog', async () => {
    const rights = new Set(['secret', 'news'])
    const url = await start({ authorize: (_user, topic) => rights.has(topic) })
    const { id } = await streamer.newClient({ owner: 'ann' })
    await add(url, id, { add: ['secret', 'news'] })
    const first = await open(`${url}/events?id=${id}`)
    driver.publish('secret', 'one')
    const { id: position } = await first.next('one', ({ data }) => data === 'one')
    first.drop()
    await until('the end', () => !streamer.getClient(id)!.connected)
    rights.delete('secret')
    driver.publish('secret', 'not for her')
    driver.publish('news', 'for her')

    const second = await open(`${url}/events?id=${id}`, { 'last-event-id': position })
    await second.next('the rest', ({ data }) => data === 'for her')
    expect(second.text).not.toContain('not for her')
    expect(subscribed(second)).toEqual(['news'])
    expect(forbidden(second)).toEqual(['secret'])
  })

  test("the Streamer's authorize is asked for what the application subscribed, too", async () => {
    let may = true
    const url = await start({}, { authorize: (_user, topic) => may || topic === 'news' })
    const { id } = await streamer.newClient({ owner: 'ann' })
    for (const topic of ['news', 'secret']) await streamer.subscribe(id, topic)
    expect(subscribed(await open(`${url}/events?id=${id}`))).toEqual(['news', 'secret'])
    may = false
    const again = await open(`${url}/events?id=${id}`)
    expect(subscribed(again)).toEqual(['news'])
    expect(forbidden(again)).toEqual(['secret'])
  })

  test("the Streamer's authorize and the middleware's must both allow a topic", async () => {
    const asked: unknown[] = []
    const settings: StreamerOptions = {
      authorize: (user, topic) => {
        asked.push(user)
        return topic !== 'b'
      },
    }
    const url = await start({ authorize: (_user, topic) => topic !== 'c' }, settings)
    const { id } = await streamer.newClient({ owner: 'ann' })
    const { body } = (await add(url, id, { add: ['a', 'b', 'c'] })) as {
      body: { added: string[]; refused: { topic: string }[] }
    }
    expect(body.added).toEqual(['a'])
    expect(body.refused.map(({ topic }) => topic).sort()).toEqual(['b', 'c'])
    expect(asked).toEqual([USER, USER])
  })

  test('recheck takes a topic away in its place; the stream and the other topics stay', async () => {
    const rights = new Set(['secret', 'news'])
    const url = await start({ authorize: (_user, topic) => rights.has(topic) })
    const { id } = await streamer.newClient({ owner: 'ann' })
    await add(url, id, { add: ['secret', 'news'] })
    const stream = await open(`${url}/events?id=${id}`)
    driver.publish('secret', 'one')
    rights.delete('secret')
    expect(await streamer.recheck({ owner: 'bob' })).toEqual({
      ...{ clients: 0, withdrawn: 0 },
      pending: [],
    })
    expect(await streamer.recheck({ owner: 'ann' })).toEqual({
      ...{ clients: 1, withdrawn: 1 },
      pending: [],
    })
    driver.publish('secret', 'two')
    driver.publish('news', 'three')
    await stream.next('three', ({ data }) => data === 'three')
    expect(stream.text).toMatch(/one[^]*forbidden-topic[^]*three/)
    expect(stream.text).not.toContain('two')
    expect(stream.ended).toBe(false)
    // It is told again until she names a later position, and not any more after that.
    const position = stream.lastEventId
    stream.drop()
    await until('the end', () => !streamer.getClient(id)!.connected)
    const second = await open(`${url}/events?id=${id}`, { 'last-event-id': position })
    expect(forbidden(second)).toEqual([])
  })

  test('what was withdrawn and given back has nothing of the time between', async () => {
    const rights = new Set(['secret'])
    const url = await start({ authorize: (_user, topic) => rights.has(topic) })
    const { id } = await streamer.newClient({ owner: 'ann' })
    await add(url, id, { add: ['secret'] })
    const first = await open(`${url}/events?id=${id}`)
    first.drop()
    await until('the end', () => !streamer.getClient(id)!.connected)
    rights.clear()
    await streamer.recheck()
    driver.publish('secret', 'not for her')
    rights.add('secret')
    await add(url, id, { add: ['secret'] })
    const second = await open(`${url}/events?id=${id}`, { 'last-event-id': first.lastEventId })
    driver.publish('secret', 'for her')
    await second.next('what comes now', ({ data }) => data === 'for her')
    expect(second.text).not.toContain('not for her')
  })

  test('rights are looked at each recheck while a stream is open', async () => {
    let may = true
    const url = await start({}, { authorize: () => may, recheck: 100 })
    const { id } = await streamer.newClient({ owner: 'ann' })
    await streamer.subscribe(id, 'news')
    const stream = await open(`${url}/events?id=${id}`)
    may = false
    await until('the message', () => forbidden(stream).length > 0)
    expect(streamer.getClient(id)!.topics).toEqual([])
    expect(stream.ended).toBe(false)
  })

  test('a log-in that is over ends the stream as an expired token does', async () => {
    let isOver = false
    const authorize = () => {
      if (isOver) throw new AuthenticationError('The session is over.', true)
      return true
    }
    const url = await start({}, { authorize, recheck: 100 })
    const { id } = await streamer.newClient({ owner: 'ann' })
    await streamer.subscribe(id, 'news')
    const stream = await open(`${url}/events?id=${id}`)
    isOver = true
    await stream.end()
    expect(stream.text).toContain('token-expired')
    expect((await openEvents(`${url}/events?id=${id}`)).status).toBe(401)
  })

  test('an authorize that fails takes nothing away, and is told', async () => {
    let fails = false
    const authorize = () => {
      if (fails) throw new Error('no database')
      return true
    }
    const url = await start({}, { authorize })
    const { id } = await streamer.newClient({ owner: 'ann' })
    await streamer.subscribe(id, 'news')
    const stream = await open(`${url}/events?id=${id}`)
    fails = true
    await expect(streamer.recheck()).rejects.toMatchObject({ code: 'ERR_UNIFROST_CALLBACK' })
    driver.publish('news', 'one')
    await stream.next('one', ({ data }) => data === 'one')
    expect((await openEvents(`${url}/events?id=${id}`)).status).toBe(500)
  })

  test('reconnect ends streams, whose clients stay', async () => {
    const url = await start({})
    const { id } = await streamer.newClient({ owner: 'ann' })
    await streamer.subscribe(id, 'news')
    const stream = await open(`${url}/events?id=${id}`)
    expect(await streamer.reconnect({ owner: 'ann' })).toEqual({ ended: 1, pending: [] })
    await stream.end()
    expect(stream.text).not.toContain('Client closed')
    driver.publish('news', 'one')
    const again = await open(`${url}/events?id=${id}`)
    await again.next('one', ({ data }) => data === 'one')
    expect(streamer.stats().disconnects.reconnect).toBe(1)
  })

  test.each([[null], [{ owner: undefined }], [{ owner: '' }], [{ owner: 7 }], ['ann']])(
    'recheck and reconnect of %j never mean everybody',
    async (which) => {
      await start({})
      const error = { code: 'ERR_UNIFROST_OPTIONS' }
      await expect(streamer.recheck(which as never)).rejects.toMatchObject(error)
      await expect(streamer.reconnect(which as never)).rejects.toMatchObject(error)
    },
  )

  describe('autoClient', () => {
    test('asks authorize of an existing client again, and gives it the topics that it names', async () => {
      let may = true
      const url = await start({ auto: { id: () => 'of-ann', authorize: () => may } })
      const first = await open(`${url}/events?topic=a`)
      expect(subscribed(first)).toEqual(['a'])
      first.drop()
      await until('the end', () => !streamer.getClient('of-ann')!.connected)
      may = false
      expect((await open(`${url}/events?topic=a`)).status).toBe(403)
      may = true
      expect(subscribed(await open(`${url}/events?topic=b`))).toEqual(['b'])
    })

    test('takes away what is not allowed any more, and goes on with the rest', async () => {
      const rights = new Set(['a', 'b'])
      const url = await start({ auto: { authorize: (_user, topic) => rights.has(topic) } })
      const address = `${url}/events?topic=a&topic=b`
      const first = await open(address)
      rights.delete('b')
      expect((await open(address)).status).toBe(403)
      const again = await open(address, { 'last-event-id': first.lastEventId })
      expect(subscribed(again)).toEqual(['a'])
      expect(forbidden(again)).toEqual(['b'])
    })

    test('asks authorize for the topics of a list and of a function', async () => {
      const authorize = (_user: unknown, topic: string) => topic !== 'secret'
      const list = await start({ auto: { topics: ['secret'], authorize } })
      expect((await open(`${list}/events`)).status).toBe(403)
      const topics = () => ['news', 'secret']
      const url = await start({ auto: { topics, authorize } })
      expect((await open(`${url}/events`)).status).toBe(403)
    })

    test('computes topics anew when an existing client comes again', async () => {
      let topics = ['a', 'b']
      const auto = { id: () => 'of-ann', topics: () => topics }
      const url = await start({ auto, authorize: () => true })
      await open(`${url}/events`)
      await add(url, 'of-ann', { add: ['c'] })
      topics = ['b', 'd']
      expect(subscribed(await open(`${url}/events`))).toEqual(['b', 'c', 'd'])
    })

    test('lets id decide, whatever the address says', async () => {
      for (const redirect of [false, true]) {
        let user = 'alice'
        const auto = { id: () => `user-${user}`, topics: () => [`inbox.${user}`], redirect }
        const url = await start({ auto })
        await open(`${url}/events`)
        if (redirect) expect((await open(`${url}/events`)).status).toBe(307)
        const hers = await open(`${url}/events?id=user-alice`)
        user = 'mallory'
        const his = await openEvents(`${url}/events?id=user-alice`)
        if (redirect) {
          expect(his).toMatchObject({ status: 307, headers: { location: '?id=user-mallory' } })
        } else {
          await his.next('the first message', () => true)
          expect(subscribed(his)).toEqual(['inbox.mallory'])
        }
        expect(hers.ended).toBe(false)
      }
    })

    test.each([[undefined], [null], [''], [7], [['a']], [{}]])(
      'an id of %j is an error, and not what the address says',
      async (id) => {
        const url = await start({ auto: { id: () => id, topics: ['news'] } })
        await streamer.newCustomClient('mine')
        const answer = await request(url).get('/events?id=mine')
        expect(answer.status).toBe(500)
      },
    )

    test.each([[undefined], [null], ['news'], [[undefined]], [[7]], [['']], [{}]])(
      'topics of %j are an error, and not what the address names',
      async (topics) => {
        const url = await start({ auto: { topics: () => topics, authorize: () => true } })
        expect((await request(url).get('/events?topic=a')).status).toBe(500)
      },
    )

    test.each(['id', 'topics', 'authorize'])(
      'what %s throws for the client is the answer',
      async (name) => {
        const error = Object.assign(new Error('Pay first.'), { status: 402, expose: true })
        let thrown: Error = error
        const fails = () => {
          throw thrown
        }
        const auto = { id: () => 'x', topics: ['a'], authorize: () => true, [name]: fails }
        const url = await start({ auto })
        const paid = await request(url).get('/events')
        expect(paid.status).toBe(402)
        expect(paid.body).toEqual({
          error: { code: 'ERR_UNIFROST_REFUSED', message: 'Pay first.' },
        })
        thrown = new AuthenticationError('Who are you?', false)
        expect((await request(url).get('/events')).status).toBe(401)
        thrown = Object.assign(new Error('secret'), { status: 402, expose: false })
        const hidden = await request(url).get('/events')
        expect(hidden.status).toBe(500)
        expect(hidden.text).not.toContain('secret')
      },
    )
  })

  describe('a client that goes with its connection', () => {
    test('takes no topic that would be forgotten at the next drop', async () => {
      const url = await start({ auto: { topics: ['team'] }, authorize: () => true })
      const stream = await open(`${url}/events`)
      const { client_id: id } = stream.infos[0]!.config as { client_id: string }
      const answer = await add(url, id, { add: ['document'] })
      expect(answer.status).toBe(409)
      expect((answer.body as { error: object }).error).toMatchObject({
        code: 'ERR_UNIFROST_TRANSIENT_CLIENT',
        message: expect.stringContaining('redirect: true') as string,
      })
      await expect(streamer.subscribe(id, 'document')).rejects.toMatchObject({ status: 409 })
      expect(streamer.getClient(id)!.topics).toEqual(['team'])
    })

    test('takes none on another server either, and lasts with redirect', async () => {
      const engine = new FakeEngine()
      const settings = () => ({ directory: engine.directory() })
      const options: Options = { auto: { topics: ['team'] }, authorize: () => true }
      const a = await start(options, settings())
      await streamer.open()
      const b = await start(options, settings())
      await streamer.open()
      const stream = await open(`${a}/events`)
      const { client_id: id } = stream.infos[0]!.config as { client_id: string }
      expect((await add(b, id, { add: ['document'] })).status).toBe(409)
      await expect(streamer.subscribe(id, 'document')).rejects.toMatchObject({ status: 409 })
      const lasting = await request(a).get('/events?id=nobody')
      expect(lasting.status).toBe(401)
    })

    test.each([false, true])(
      'goes on in the topics of connect where it was (a listener that waits: %s)',
      async (waits) => {
        const url = await start({ auto: { topics: ['team'] } })
        streamer.on('connect', async (client) => {
          if (waits) await new Promise((resolve) => setImmediate(resolve))
          await streamer.subscribe(client.id, 'room')
        })
        const first = await open(`${url}/events`)
        await until('the room', () => driver.publish('room', 'one'))
        const { id } = await first.next('one', ({ data }) => data === 'one')
        first.drop()
        await until('the end', () => streamer.totalClients === 0)
        driver.publish('room', 'while away')
        driver.publish('team', 'for all')
        const second = await open(`${url}/events`, { 'last-event-id': id })
        await second.next('what was missed', ({ data }) => data === 'while away')
        await second.next('the rest', ({ data }) => data === 'for all')
        expect(second.events.filter(({ data }) => data === 'one')).toEqual([])
        // A later id must not come before what the listener's topic has missed.
        expect(second.text).toMatch(/while away[^]*for all/)
      },
    )

    test('is told where the topics of connect can not go on', async () => {
      const url = await start({ auto: { topics: [] } })
      streamer.on('connect', (client) => streamer.subscribe(client.id, 'room'))
      const stream = await open(`${url}/events`, { 'last-event-id': 'before-7' })
      await stream.next('the loss', ({ data }) => data.includes('messages-lost'))
    })
  })

  test('what one request removes and adds is removed and added', async () => {
    const url = await start({ authorize: () => true })
    const { id } = await streamer.newClient({ owner: 'ann' })
    await streamer.subscribe(id, 'a')
    const { body } = await add(url, id, { add: ['a'], remove: ['a', 'b'] })
    expect(body).toMatchObject({ topics: ['a'], added: ['a'], removed: ['a'], refused: [] })
  })

  describe('names that mean more to the broker than one topic', () => {
    const kindOf = (topic: string) =>
      topic.startsWith('$') ? 'internal' : topic.includes('*') ? 'wildcard' : 'plain'

    async function with_(wildcards?: boolean | string[]) {
      const auto = { authorize: () => true, ...(wildcards !== undefined && { wildcards }) }
      const url = await start({ auto, authorize: () => true })
      Object.assign(driver, { kindOf })
      return url
    }

    test('are refused in the address, in a body, and in what topics makes of a request', async () => {
      const url = await with_()
      for (const topic of ['orders.*', '$KV.x']) {
        expect((await open(`${url}/events?topic=${topic}`)).status).toBe(403)
        const { id } = await streamer.newClient({ owner: 'ann' })
        const answer = await add(url, id, { add: [topic, 'plain'] })
        expect(answer.body).toMatchObject({ added: ['plain'], refused: [{ topic }] })
      }
      const made = await start({ auto: { topics: () => ['inbox.*'] } })
      Object.assign(driver, { kindOf })
      expect((await open(`${made}/events`)).status).toBe(403)
    })

    test('are allowed by name', async () => {
      const all = await with_(true)
      expect((await open(`${all}/events?topic=orders.*`)).status).toBe(200)
      expect((await open(`${all}/events?topic=$KV.x`)).status).toBe(403)
      const some = await with_(['orders.*', '$KV.x'])
      expect((await open(`${some}/events?topic=$KV.x`)).status).toBe(200)
      expect((await open(`${some}/events?topic=news.*`)).status).toBe(403)
    })
  })
})
