import express from 'express'
import Koa from 'koa'
import type { MemoryDriver, StreamerOptions } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import type { EventStream } from '../support/event-stream.js'
import { openEvents } from '../support/event-stream.js'
import { listen } from './support/apps.js'

type Answer = boolean | { since: Date | number }

const expressApp = (streamer: Streamer, answer: () => Answer): unknown => {
  const options = { authorize: answer }
  const app = express()
  app.use('/subscriptions', forExpress.subscriptions(streamer, options))
  app.use(forExpress.autoClient(streamer, options), forExpress.unifrostExpress(streamer))
  return app
}

const koaApp = (streamer: Streamer, answer: () => Answer): unknown => {
  const options = { authorize: answer }
  const app = new Koa()
  app.silent = true
  const change = forKoa.subscriptions(streamer, options)
  app.use((ctx, next) => (ctx.path === '/subscriptions' ? change(ctx, next) : next()))
  app.use(forKoa.autoClient(streamer, options))
  app.use(forKoa.unifrostKoa(streamer))
  return app.callback()
}

const told = ({ events }: EventStream) =>
  events.flatMap(({ event, data }) => {
    if (event === 'a') return [data]
    return data.includes('messages-lost') ? ['lost'] : []
  })

const HOUR = 3_600_000

describe.each([
  ['Express', expressApp],
  ['Koa', koaApp],
])('how far back a position reaches, with %s', (_, build) => {
  let memory: MemoryDriver
  let streamer: Streamer
  let running: Awaited<ReturnType<typeof listen>>
  let answer: Answer
  let published = 0

  async function start(options: StreamerOptions = {}) {
    memory = memoryDriver()
    answer = true
    published = 0
    streamer = new Streamer(memory, { heartbeatInterval: 0, ...options })
    running = await listen(build(streamer, () => answer) as never)
    const stream = await open('topic=a')
    await stream.next('the first event', () => true)
  }
  afterEach(async () => {
    jest.restoreAllMocks()
    await streamer.close()
    await running.close()
  })

  const open = (query: string) => openEvents(`${running.url}/?${query}`)
  const add = async (id: string, after: string) => {
    const answer = await fetch(`${running.url}/subscriptions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ client_id: id, add: [{ topic: 'a', after }] }),
    })
    return ((await answer.json()) as { added: string[] }).added
  }

  /** What a stream has that goes on after a position; the last message is published by then. */
  async function following(after: string) {
    const stream = await open(`topic=a&after=${encodeURIComponent(after)}`)
    const last = `later ${++published}`
    memory.publish('a', last)
    await stream.next(last, (event) => event.data === last)
    return told(stream)
  }

  test('no further than `authorize` says', async () => {
    await start()
    const at = streamer.position()
    memory.publish('a', 'before the grant')
    answer = { since: new Date(Date.now() + 5) }
    expect(await following(at)).toEqual(['lost', 'later 1'])
    answer = { since: Date.now() - HOUR }
    expect(await following(at)).toEqual(['before the grant', 'later 1', 'later 2'])
    answer = { since: 0 }
    expect((await following(at)).length).toBe(4)
  })

  test('no further than `authorize` says for a topic that is added to an open stream', async () => {
    await start()
    await streamer.newCustomClient('c')
    const stream = await open('id=c')
    const at = streamer.position()
    memory.publish('a', 'before the grant')
    answer = { since: Date.now() + 5 }
    expect(await add('c', at)).toEqual(['a'])
    memory.publish('a', 'later')
    await stream.next('later', (event) => event.data === 'later')
    expect(told(stream)).toEqual(['lost', 'later'])
  })

  test("both the Streamer's `authorize` and the middleware's count", async () => {
    let own: Answer = true
    await start({ authorize: () => own })
    const at = streamer.position()
    memory.publish('a', 'before the grant')
    own = { since: Date.now() + 5 }
    expect(await following(at)).toEqual(['lost', 'later 1'])
  })

  test.each([{ since: new Date(NaN) }, { since: 'today' }, {}, { since: null }])(
    'an answer such as %j allows nothing',
    async (wrong) => {
      await start()
      answer = wrong as never
      expect((await open('topic=a')).status).toBe(403)
    },
  )

  test('`maxResume` bounds how many messages it brings', async () => {
    await start({ maxResume: { messages: 2 } })
    const at = streamer.position()
    for (const text of ['one', 'two']) memory.publish('a', text)
    expect(await following(at)).toEqual(['one', 'two', 'later 1'])
    expect(await following(at)).toEqual(['lost', 'two', 'later 1', 'later 2'])
  })

  test('`maxResume` bounds how long ago it was given out', async () => {
    await start({ maxResume: 60_000 })
    const at = streamer.position()
    memory.publish('a', 'one')
    expect(await following(at)).toEqual(['one', 'later 1'])
    const now = Date.now()
    jest.spyOn(Date, 'now').mockReturnValue(now + 2 * 60_000)
    expect(await following(at)).toEqual(['lost', 'later 2'])
  })
})
