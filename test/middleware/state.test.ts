import express from 'express'
import Koa from 'koa'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import type { EventStream } from '../support/event-stream.js'
import { openEvents } from '../support/event-stream.js'
import { StubLog } from '../support/stub-log.js'
import { listen } from './support/apps.js'

const may = { authorize: (_user: unknown, topic: string) => topic !== 'secret' }

/** What the application lets a page name: `a`, after the position that its address has. */
function topicsIn(url: string) {
  const after = new URL(url, 'http://page').searchParams.get('after') ?? undefined
  return ['b', { topic: 'a', after }]
}

const expressApp = (streamer: Streamer): unknown => {
  const app = express()
  app.get('/data', (_request, response) => {
    forExpress.setPosition(streamer, response)
    response.json({})
  })
  app.use('/subscriptions', forExpress.subscriptions(streamer, may))
  app.use('/clients', forExpress.clients(streamer, { topics: (req) => topicsIn(req.url) }))
  app.use(forExpress.autoClient(streamer, may), forExpress.unifrostExpress(streamer))
  return app
}

const koaApp = (streamer: Streamer): unknown => {
  const app = new Koa()
  app.silent = true
  const change = forKoa.subscriptions(streamer, may)
  const make = forKoa.clients(streamer, { topics: (ctx) => topicsIn(ctx.url) })
  app.use((ctx, next) => {
    if (ctx.path === '/subscriptions') return change(ctx, next)
    if (ctx.path === '/clients') return make(ctx, next)
    if (ctx.path !== '/data') return next()
    forKoa.setPosition(streamer, ctx)
    ctx.body = {}
  })
  app.use(forKoa.autoClient(streamer, may))
  app.use(forKoa.unifrostKoa(streamer))
  return app.callback()
}

const lost = (stream: EventStream) =>
  stream.infos.flatMap(({ error }) => {
    const { code, topic } = Object(error) as { code?: string; topic?: string }
    return code === 'messages-lost' ? [topic] : []
  })
const data = (stream: EventStream, topic: string) =>
  stream.events.filter(({ event }) => event === topic).map((event) => event.data)

describe.each([
  ['Express', expressApp],
  ['Koa', koaApp],
])('a page that loads its data and follows, with %s', (_, build) => {
  const driver = () => memoryDriver()
  let memory: ReturnType<typeof driver>
  let streamer: Streamer
  let running: Awaited<ReturnType<typeof listen>>
  let url: string

  beforeEach(async () => {
    memory = driver()
    streamer = new Streamer(memory, { heartbeatInterval: 0 })
    running = await listen(build(streamer) as never)
    url = running.url
  })
  afterEach(async () => {
    await streamer.close()
    await running.close()
  })

  const position = async () => (await fetch(`${url}/data`)).headers.get('unifrost-position')!
  const open = async (query: string) => {
    const stream = await openEvents(`${url}/?${query}`)
    if (stream.status === 200) await stream.next('the first event', () => true)
    return stream
  }
  const after = (text: string) => `after=${encodeURIComponent(text)}`

  async function add(id: string, entries: unknown[], remove: string[] = []) {
    const answer = await fetch(`${url}/subscriptions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ client_id: id, add: entries, remove }),
    })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }

  test('gets what was published meanwhile, and nothing of before', async () => {
    await open('topic=a')
    memory.publish('a', 'before')
    const at = await position()
    memory.publish('a', 'meanwhile')
    const stream = await open(`topic=a&${after(at)}`)
    memory.publish('a', 'later')
    await stream.next('later', (event) => event.data === 'later')
    expect([data(stream, 'a'), lost(stream)]).toEqual([['meanwhile', 'later'], []])
  })

  test('is told where nobody here heard the topic when the data was loaded', async () => {
    const at = await position()
    memory.publish('a', 'unheard')
    const stream = await open(`topic=a&${after(at)}`)
    memory.publish('a', 'later')
    await stream.next('later', (event) => event.data === 'later')
    expect([data(stream, 'a'), lost(stream)]).toEqual([['later'], ['a']])
  })

  test('adds a topic after the position, beside one without', async () => {
    await open('topic=a')
    await streamer.newCustomClient('c')
    const stream = await open('id=c')
    const at = await position()
    memory.publish('a', 'meanwhile')
    const { body, status } = await add('c', ['b', { topic: 'a', after: at }])
    expect([status, new Set(body.added as string[])]).toEqual([200, new Set(['a', 'b'])])
    await stream.next('meanwhile', (event) => event.data === 'meanwhile')
    expect([data(stream, 'a'), lost(stream)]).toEqual([['meanwhile'], []])
  })

  const make = async (query: string) => {
    const answer = await fetch(`${url}/clients?${query}`, { method: 'POST' })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }

  test('has a client made whose topic begins after the position', async () => {
    await open('topic=a')
    const at = await position()
    memory.publish('a', 'meanwhile')
    const { status, body } = await make(after(at))
    expect([status, body.topics]).toEqual([201, ['b', 'a']])
    const stream = await open(`id=${body.client_id as string}`)
    memory.publish('b', 'later')
    await stream.next('later', (event) => event.data === 'later')
    expect([data(stream, 'a'), lost(stream)]).toEqual([['meanwhile'], []])
  })

  test('has no client made by a position that is nonsense', async () => {
    const { status, body } = await make(after('nonsense'))
    expect([status, body.error]).toMatchObject([400, { code: 'ERR_UNIFROST_POSITION' }])
    expect(streamer.totalClients).toBe(0)
  })

  test('is subscribed by the application to topics with positions of their own', async () => {
    await open('topic=a&topic=b')
    const [first, id] = [streamer.position(), 'c']
    memory.publish('a', 'a1')
    memory.publish('b', 'b1')
    const second = streamer.position()
    memory.publish('b', 'b2')
    await streamer.newCustomClient(id)
    await streamer.subscribe(id, [{ topic: 'a', after: first }, { topic: 'b', after: second }, 'c'])
    const stream = await open('id=c')
    memory.publish('c', 'c1')
    await stream.next('c1', (event) => event.data === 'c1')
    expect([data(stream, 'a'), data(stream, 'b'), lost(stream)]).toEqual([['a1'], ['b2'], []])
    const wrong = [{ topic: 'd', from: first }, { topic: 'd', after: 7 }, { after: first }]
    for (const entry of wrong) {
      await expect(streamer.subscribe(id, entry as never)).rejects.toThrow(/topic|position/i)
    }
    const forAll = streamer.subscribe({ owner: 'o' }, [{ topic: 'a', after: first }] as never)
    await expect(forAll).rejects.toThrow('for one client')
  })

  test.each(['nonsense', 'made up'])('is refused a position that is %s', async (kind) => {
    await streamer.newCustomClient('c')
    const at = kind === 'nonsense' ? kind : (await position()).replace(/-\d+=/, '-99=')
    const { body, status } = await add('c', [{ topic: 'a', after: at }])
    expect([status, body.topics]).toEqual([400, []])
    expect(body.refused).toMatchObject([{ topic: 'a', code: 'ERR_UNIFROST_POSITION' }])
    const stream = await open(`topic=a&${after(at)}`)
    await stream.next('the loss', () => lost(stream).length > 0)
  })

  test('gets nothing of the time without the topic by a position from before', async () => {
    await open('topic=a')
    await streamer.newCustomClient('c')
    await streamer.subscribe('c', 'a')
    const at = await position()
    await add('c', [], ['a'])
    memory.publish('a', 'between')
    const { body } = await add('c', [{ topic: 'a', after: at }])
    expect(body.refused).toMatchObject([{ topic: 'a', code: 'ERR_UNIFROST_POSITION' }])
    const now = await position()
    expect((await add('c', [{ topic: 'a', after: now }])).body.added).toEqual(['a'])
  })

  test('is told which entry of `add` is not well formed', async () => {
    await streamer.newCustomClient('c')
    for (const entry of [{ topic: 'a', after: 7 }, { after: 'x' }, { topic: 'a', from: 'x' }]) {
      const { body, status } = await add('c', ['b', entry])
      expect(status).toBe(400)
      expect(body.error).toMatchObject({
        code: 'ERR_UNIFROST_BODY',
        message: expect.stringContaining('add[1]') as string,
      })
    }
  })

  test('may not have a topic by a position that it may not have without', async () => {
    expect((await open(`topic=a&topic=secret&${after(await position())}`)).status).toBe(403)
  })
})

test('a log that is not open gives no position; `open` waits for it', async () => {
  const streamer = new Streamer(new StubLog().server())
  expect(() => streamer.position()).toThrow(
    expect.objectContaining({ code: 'ERR_UNIFROST_LOG_UNAVAILABLE' }) as Error,
  )
  await streamer.open()
  expect(streamer.position()).toContain('=')
  await streamer.close()
})
