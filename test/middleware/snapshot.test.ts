import express from 'express'
import Koa from 'koa'
import type { MemoryDriver } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import type { EventStream } from '../support/event-stream.js'
import { openEvents } from '../support/event-stream.js'
import { listen } from './support/apps.js'

type Load = (
  topic: string,
  user: unknown,
) => string | undefined | object | Promise<string | undefined>

const expressApp = (streamer: Streamer, load: Load): unknown => {
  const options = { authorize: () => true, snapshot: load as never }
  const app = express()
  app.use('/subscriptions', forExpress.subscriptions(streamer, options))
  app.use('/clients', forExpress.clients(streamer, { topics: ['a'], snapshot: load as never }))
  app.use(forExpress.autoClient(streamer, options), forExpress.unifrostExpress(streamer))
  return app
}

const koaApp = (streamer: Streamer, load: Load): unknown => {
  const options = { authorize: () => true, snapshot: load as never }
  const app = new Koa()
  app.silent = true
  const change = forKoa.subscriptions(streamer, options)
  const make = forKoa.clients(streamer, { topics: ['a'], snapshot: load as never })
  app.use((ctx, next) => {
    if (ctx.path === '/subscriptions') return change(ctx, next)
    return ctx.path === '/clients' ? make(ctx, next) : next()
  })
  app.use(forKoa.autoClient(streamer, options))
  app.use(forKoa.unifrostKoa(streamer))
  return app.callback()
}

/** What a stream has of topics, in order; `lost` where something is missing. */
const told = ({ events }: EventStream) =>
  events.flatMap(({ event, data }) => {
    if (event !== 'message' && event !== '') return [data]
    return data.includes('messages-lost') ? ['lost'] : []
  })

describe.each([
  ['Express', expressApp],
  ['Koa', koaApp],
])('a topic whose state is sent in the stream, with %s', (_, build) => {
  let memory: MemoryDriver
  let streamer: Streamer
  let running: Awaited<ReturnType<typeof listen>>
  let load: Load
  let asked: string[]
  const state = (topic: string) => `state of ${topic}`

  beforeEach(async () => {
    memory = memoryDriver()
    streamer = new Streamer(memory, { heartbeatInterval: 0, history: { maxBytesPerTopic: 4_096 } })
    load = state
    asked = []
    const app = build(streamer, (topic, user) => {
      asked.push(topic)
      return load(topic, user)
    })
    running = await listen(app as never)
  })
  afterEach(async () => {
    await streamer.close()
    await running.close()
  })

  const open = (query: string, lastId?: string) =>
    openEvents(`${running.url}/?${query}`, lastId === undefined ? {} : { 'last-event-id': lastId })
  const post = async (path: string, body: object = {}) => {
    const answer = await fetch(`${running.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  const until = (stream: EventStream, text: string) =>
    stream.next(text, (event) => event.data === text)

  test('begins with it, then has what was published while it was loaded', async () => {
    load = async (topic) => {
      memory.publish(topic, 'meanwhile')
      return state(topic)
    }
    const stream = await open('topic=a')
    await until(stream, 'meanwhile')
    memory.publish('a', 'later')
    await until(stream, 'later')
    expect(told(stream)).toEqual(['state of a', 'meanwhile', 'later'])
  })

  test('goes on without it after a position that brings everything', async () => {
    const first = await open('topic=a')
    memory.publish('a', 'one')
    const { id } = await until(first, 'one')
    memory.publish('a', 'two')
    await until(first, 'two')
    const again = await open('topic=a', id)
    await until(again, 'two')
    expect([told(again), asked]).toEqual([['two'], ['a']])
  })

  test('gets it where the history does not reach back', async () => {
    const first = await open('topic=a')
    memory.publish('a', 'one')
    const { id } = await until(first, 'one')
    for (let n = 0; n < 4; n++) memory.publish('a', 'x'.repeat(2_000))
    const again = await open('topic=a', id)
    await until(again, 'state of a')
    memory.publish('a', 'later')
    await until(again, 'later')
    expect(told(again)).toEqual(['state of a', 'later'])
  })

  test('gets it behind `messages-lost` for a position of another server', async () => {
    load = async (topic) => {
      memory.publish(topic, 'meanwhile')
      return state(topic)
    }
    const stream = await open('topic=a', 'elsewhere-9')
    await until(stream, 'meanwhile')
    expect(told(stream)).toEqual(['lost', 'state of a', 'meanwhile'])
  })

  test('is added to an open stream with it; other topics do not wait', async () => {
    await streamer.newCustomClient('c')
    await streamer.subscribe('c', 'other')
    const stream = await open('id=c')
    load = async (topic) => {
      memory.publish('other', 'unheld')
      memory.publish(topic, 'meanwhile')
      await until(stream, 'unheld')
      return state(topic)
    }
    const { body } = await post('/subscriptions', { client_id: 'c', add: ['a'] })
    expect(body.added).toEqual(['a'])
    memory.publish('a', 'later')
    await until(stream, 'later')
    expect(told(stream)).toEqual(['unheld', 'state of a', 'meanwhile', 'later'])
    await post('/subscriptions', { client_id: 'c', add: ['a'] })
    expect(asked).toEqual(['a'])
  })

  test('is sent to a client that was made with it, again until it shows that it has it', async () => {
    const { body } = await post('/clients')
    const query = `id=${String(body.client_id)}`
    memory.publish('a', 'one')
    const first = await open(query)
    await until(first, 'one')
    const [before] = first.events.filter(({ data }) => data === 'state of a')
    expect(told(first)).toEqual(['state of a', 'one'])
    const again = await open(query, before!.id)
    await until(again, 'one')
    expect(told(again)).toEqual(['one'])
    const unknown = await open(query)
    await unknown.next('the loss', () => told(unknown).includes('lost'))
    memory.publish('a', 'two')
    await until(unknown, 'two')
    expect(told(unknown)).toEqual(['lost', 'two'])
  })

  test('has none where the application gives undefined', async () => {
    load = () => undefined
    const stream = await open('topic=a')
    await stream.next('the first event', () => true)
    memory.publish('a', 'later')
    await until(stream, 'later')
    expect(told(stream)).toEqual(['later'])
  })

  test.each([
    ['fails', () => Promise.reject(new Error('secret'))],
    ['is no text', () => ({})],
  ])('is not subscribed where its state %s', async (_why, broken) => {
    load = broken
    const { status } = await open('topic=a')
    expect([status, streamer.totalClients]).toEqual([500, 0])
    await streamer.newCustomClient('c')
    const { body } = await post('/subscriptions', { client_id: 'c', add: ['a'] })
    expect([body.topics, JSON.stringify(body)]).toEqual([[], expect.not.stringContaining('secret')])
  })
})
