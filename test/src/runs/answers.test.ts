import express from 'express'
import Koa from 'koa'
import { memoryDriver, Streamer } from 'unifrost'
import { withContext } from 'unifrost/fetch'
import type { Run, Runs, RunsOptions } from 'unifrost/runs'
import { runs } from 'unifrost/runs'
import { eventsIn, readUntil, Site } from './serving.js'

const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** A Streamer with runs on it, and an Express app that serves them to who `x-user` names. */
async function setUp(options: RunsOptions = {}, route = {}) {
  const streamer = new Streamer(memoryDriver())
  closing.push(() => streamer.close())
  const answers = runs(streamer, options)
  const app = express()
  app.use((req, _res, next) => {
    const id = req.headers['x-user']
    if (id !== undefined) (req as { user?: unknown }).user = { id }
    next()
  })
  app.get(
    '/run/:id',
    answers.express((req) => req.params.id, route),
  )
  const site = await Site.open(app)
  closing.push(() => site.close())
  return { streamer, answers, site }
}

/** A producer that goes on when it is told to. */
function held() {
  let go!: (value?: unknown) => void
  let run!: Run
  let started!: () => void
  const begun = new Promise<void>((resolve) => (started = resolve))
  const waiting = new Promise<unknown>((resolve) => (go = resolve))
  const produce = async (given: Run) => {
    run = given
    started()
    return waiting
  }
  return {
    produce,
    begun,
    go,
    append: (...args: Parameters<Run['append']>) => run.append(...args),
    run: () => run,
  }
}

const END = (text: string) => text.includes('event: end\n')

describe('a run', () => {
  test('goes on without readers, and a late one gets all parts in order, each with its place', async () => {
    const { answers, site } = await setUp()
    const { id, started } = await answers.start('a', async ({ append }) => {
      append('one')
      append({ n: 2 })
      append('three\nlines', { event: 'note' })
      return { total: 3 }
    })
    expect(started).toBe(true)
    const response = await site.get('/run/a')
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    const text = await response.text()
    expect(eventsIn(text)).toEqual([
      { event: undefined, data: 'one', id: `${id}-1` },
      { event: undefined, data: '{"n":2}', id: `${id}-2` },
      { event: 'note', data: 'three\nlines', id: `${id}-3` },
      { event: 'end', data: '{"kind":"done","data":{"total":3}}', id: `${id}-4` },
    ])
    expect(text).toMatch(/\nretry: 604800000\nevent: end\n/)
  })

  test('is the same for who comes in the middle, leaves after any part and comes again', async () => {
    const { answers, site } = await setUp()
    const producer = held()
    const { id } = await answers.start('a', producer.produce)
    await producer.begun
    for (let n = 1; n <= 20; n++) producer.append(`part ${n}`)
    const got: string[] = []
    let last = ''
    for (let round = 1; round <= 30; round++) {
      if (round === 15) for (let n = 21; n <= 30; n++) producer.append(`part ${n}`)
      const response = await site.get('/run/a', last === '' ? {} : { 'last-event-id': last })
      const text = await readUntil(response, (all) => all.includes('\n\n'))
      const first = eventsIn(text)[0]!
      got.push(first.data)
      last = first.id!
    }
    expect(got).toEqual(Array.from({ length: 30 }, (_, n) => `part ${n + 1}`))
    producer.go()
    const rest = await (await site.get('/run/a', { 'last-event-id': last })).text()
    expect(eventsIn(rest)).toEqual([{ event: 'end', data: '{"kind":"done"}', id: `${id}-31` }])
    // Whoever has the end is told to ask no more.
    expect((await site.get('/run/a', { 'last-event-id': `${id}-31` })).status).toBe(204)
  })

  test('is started once, however many ask at the same moment', async () => {
    const { answers } = await setUp()
    const producer = held()
    let calls = 0
    const all = await Promise.all(
      Array.from({ length: 20 }, () =>
        answers.start('a', (run) => {
          calls++
          return producer.produce(run)
        }),
      ),
    )
    await producer.begun
    expect(all.filter(({ started }) => started)).toHaveLength(1)
    expect(new Set(all.map(({ id }) => id)).size).toBe(1)
    expect(calls).toBe(1)
    await expect(
      answers.start('a', { onRunning: 'refuse' }, producer.produce),
    ).rejects.toMatchObject({ code: 'ERR_UNIFROST_RUN_RUNNING', status: 409 })
    producer.go()
  })

  test('under an old name is another one: old readers get the old end, and no number is mistaken', async () => {
    const { answers, site } = await setUp()
    const first = await answers.start('a', ({ append }) => void append('old'))
    await (await site.get('/run/a')).text()
    const second = await answers.start('a', ({ append }) => {
      for (let n = 1; n <= 5; n++) append(`new ${n}`)
    })
    expect(second).toMatchObject({ started: true })
    expect(second.id).not.toBe(first.id)
    const old = await (await site.get('/run/a', { 'last-event-id': `${first.id}-1` })).text()
    expect(eventsIn(old)).toMatchObject([{ event: 'end', id: `${first.id}-2` }])
    const late = eventsIn(await (await site.get('/run/a')).text())
    expect(late.map(({ data }) => data)).toEqual(
      expect.arrayContaining(['new 1', 'new 2', 'new 3', 'new 4', 'new 5']),
    )
    // A position of a run that nobody knows is none of this one.
    const foreign = await site.get('/run/a', { 'last-event-id': `${'z'.repeat(16)}-1` })
    expect(foreign.status).toBe(410)
  })

  test('ends as failed, with a message for strangers only where the error says so', async () => {
    const { answers, site } = await setUp()
    const errors: Error[] = []
    answers.on('error', (error) => errors.push(error))
    await answers.start('a', () => {
      throw new Error('secret of the database')
    })
    const text = await (await site.get('/run/a')).text()
    expect(eventsIn(text)).toMatchObject([
      {
        event: 'end',
        data: '{"kind":"failed","code":"producer-failed","message":"The producer of this run has failed."}',
      },
    ])
    expect(text).not.toContain('secret')
    expect(errors).toMatchObject([{ message: 'secret of the database' }])
    await answers.start('b', () => {
      throw Object.assign(new Error('No credit left.'), {
        status: 402,
        expose: true,
        code: 'no-credit',
      })
    })
    expect(eventsIn(await (await site.get('/run/b')).text())).toMatchObject([
      { data: '{"kind":"failed","code":"no-credit","message":"No credit left."}' },
    ])
  })
})

describe('a stop', () => {
  test('is state: it says what the run was, and the end comes when the producer has settled', async () => {
    const { answers, site } = await setUp()
    expect(await answers.stop('a')).toEqual({ was: 'none' })
    let stored = false
    const producer = held()
    await answers.start('a', async (run) => {
      await producer.produce(run)
      run.append('last words')
      stored = true
    })
    await producer.begun
    const reading = site.get('/run/a').then((response) => response.text())
    expect(await answers.stop('a')).toEqual({ was: 'running' })
    expect(await answers.stop('a')).toEqual({ was: 'stopping' })
    expect(producer.run().signal.reason).toBe('stopped')
    producer.go()
    const events = eventsIn(await reading)
    expect(stored).toBe(true)
    expect(events.map(({ data }) => data)).toEqual(['last words', '{"kind":"stopped"}'])
    expect(await answers.stop('a')).toEqual({ was: 'ended' })
    expect(() => producer.append('more')).toThrow(/\(stopped\)/)
  })

  test('before the producer has begun keeps it from beginning', async () => {
    const { answers, site } = await setUp()
    let called = false
    const starting = answers.start('a', () => void (called = true))
    const stopping = answers.stop('a')
    await starting
    expect(await stopping).toEqual({ was: 'running' })
    expect(eventsIn(await (await site.get('/run/a')).text())).toMatchObject([
      { data: '{"kind":"stopped"}' },
    ])
    expect(called).toBe(false)
  })

  test('that a producer does not heed ends the run as failed after `settle`', async () => {
    const { answers, site } = await setUp({ settle: 20 })
    const producer = held()
    await answers.start('a', producer.produce)
    await producer.begun
    await answers.stop('a')
    expect(await (await site.get('/run/a')).text()).toContain('"code":"not-settled"')
  })
})

describe('who may read', () => {
  test('a stranger gets 404, as for no run; the owner reads', async () => {
    const { answers, site } = await setUp()
    await answers.start('a', { owner: 'alice' }, ({ append }) => void append('secret'))
    const none = await site.get('/run/none', { 'x-user': 'bob' })
    for (const headers of [{}, { 'x-user': 'bob' }]) {
      const refused = await site.get('/run/a', headers)
      expect(refused.status).toBe(404)
      expect(await refused.clone().json()).toMatchObject({ error: { code: 'ERR_UNIFROST_NO_RUN' } })
      if ('x-user' in headers) expect(await refused.json()).toEqual(await none.clone().json())
    }
    expect(await (await site.get('/run/a', { 'x-user': 'alice' })).text()).toContain('secret')
    expect(await answers.status('a', { owner: 'bob' })).toBeUndefined()
    expect(await answers.stop('a', { owner: 'bob' })).toEqual({ was: 'none' })
    await expect(answers.start('a', { owner: 'bob' }, () => undefined)).rejects.toMatchObject({
      status: 404,
    })
    await expect(answers.start('a', { owner: undefined as never }, () => 1)).rejects.toMatchObject({
      code: 'ERR_UNIFROST_OPTIONS',
    })
  })

  test('`authorize` lets others in, with `true` alone', async () => {
    const authorize = (user: unknown) => (user as { id: string }).id === 'admin'
    const { answers, site } = await setUp({}, { authorize })
    await answers.start('a', { owner: 'alice' }, ({ append }) => void append('x'))
    expect((await site.get('/run/a', { 'x-user': 'admin' })).status).toBe(200)
    expect((await site.get('/run/a', { 'x-user': 'bob' })).status).toBe(404)
  })

  test('what has expired is told apart from what never was', async () => {
    const { answers, site } = await setUp({ keep: 0 })
    const { id } = await answers.start('a', { owner: 'alice' }, ({ append }) => void append('x'))
    await (await site.get('/run/a', { 'x-user': 'alice' })).text()
    const again = await site.get('/run/a', { 'x-user': 'alice', 'last-event-id': `${id}-1` })
    expect(again.status).toBe(410)
    expect((await site.get('/run/a', { 'x-user': 'bob' })).status).toBe(404)
    expect((await site.get('/run/b', { 'x-user': 'alice' })).status).toBe(404)
  })
})

describe('a part', () => {
  test.each(['error', 'open', 'message', 'end', 'unifrost-connection', '', 'a\nb'])(
    'can not have the event %j',
    async (event) => {
      const { answers } = await setUp()
      const producer = held()
      await answers.start('a', producer.produce)
      await producer.begun
      expect(() => producer.append('x', { event })).toThrow(
        expect.objectContaining({ code: 'ERR_UNIFROST_PART' }),
      )
      producer.go()
    },
  )

  test.each([undefined, () => 1, 1n, Symbol('x'), Promise.resolve('x')])(
    'can not be what has no JSON: %p',
    async (part) => {
      const { answers } = await setUp()
      const producer = held()
      await answers.start('a', producer.produce)
      await producer.begun
      expect(() => producer.append(part)).toThrow(
        expect.objectContaining({ code: 'ERR_UNIFROST_PART' }),
      )
      producer.go()
    },
  )

  test('that is transient goes to who reads now, without a place', async () => {
    const { answers, site } = await setUp()
    const producer = held()
    const { id } = await answers.start('a', producer.produce)
    await producer.begun
    producer.append('one')
    const response = await site.get('/run/a')
    const live = readUntil(response, END)
    producer.append('typing', { event: 'progress', transient: true })
    producer.append('two')
    producer.go()
    const late = eventsIn(await (await site.get('/run/a')).text())
    expect(late.map(({ data }) => data)).toEqual(['one', 'two', '{"kind":"done"}'])
    expect(eventsIn(await live)).toEqual([
      { event: undefined, data: 'one', id: `${id}-1` },
      { event: 'progress', data: 'typing', id: undefined },
      { event: undefined, data: 'two', id: `${id}-2` },
      { event: 'end', data: '{"kind":"done"}', id: `${id}-3` },
    ])
  })

  test('too many bytes of parts end the run with its code', async () => {
    const { answers, site } = await setUp({ maxBytes: 100 })
    await answers.start('a', ({ append }) => {
      for (;;) append('x'.repeat(30))
    })
    const events = eventsIn(await (await site.get('/run/a')).text())
    expect(events.map(({ data }) => data.slice(0, 36))).toEqual([
      ...Array.from({ length: 3 }, () => 'x'.repeat(30)),
      '{"kind":"failed","code":"too-large",',
    ])
  })
})

describe("the AI SDK's format", () => {
  test('is unnamed data, [DONE] and a header; no run is 204', async () => {
    const { answers, site } = await setUp({ format: 'ai-sdk' })
    await answers.start('a', ({ append }) => {
      append({ type: 'text-delta', id: '1', delta: 'Hi' })
      append({ type: 'data-note' }, { event: 'note' })
    })
    const response = await site.get('/run/a')
    expect(response.headers.get('x-vercel-ai-ui-message-stream')).toBe('v1')
    expect(eventsIn(await response.text())).toMatchObject([
      { event: undefined, data: '{"type":"text-delta","id":"1","delta":"Hi"}' },
      { event: undefined, data: '{"type":"data-note"}' },
      { event: undefined, data: '[DONE]' },
    ])
    expect((await site.get('/run/none')).status).toBe(204)
  })
})

describe('a run that has ended', () => {
  test('is 204 for a page that has stored it, where the route says so; who was cut off goes on', async () => {
    const { answers, site } = await setUp({}, { ended: 'empty', principal: () => 'alice' })
    const producer = held()
    const { id } = await answers.start('a', { owner: 'alice' }, producer.produce)
    await producer.begun
    const live = site.get('/run/a')
    producer.append('one')
    producer.append('two')
    const stream = readUntil(await live, END)
    producer.go()
    expect(eventsIn(await stream)).toHaveLength(3)
    expect((await site.get('/run/a')).status).toBe(204)
    const rest = await site.get('/run/a', { 'last-event-id': `${id}-1` })
    expect(eventsIn(await rest.text()).map(({ data }) => data)).toEqual(['two', '{"kind":"done"}'])
    await answers.start('b', { owner: 'bob' }, () => 'not for Alice')
    expect((await site.get('/run/b')).status).toBe(404)
  })
})

describe("a browser's EventSource", () => {
  const headers = { accept: 'text/event-stream', 'cache-control': 'no-cache' }
  const principal = () => 'alice'
  const full = () =>
    new Streamer(memoryDriver(), { maxConnectionsPerOwner: 1, retry: { min: 150, max: 150 } })

  test('comes back where there is no room, and is given nothing for a part', async () => {
    const streamer = full()
    closing.push(() => streamer.close())
    const answers = runs(streamer)
    const producer = held()
    await answers.start('a', producer.produce)
    await producer.begun
    producer.append('one')
    const handle = answers.fetch(() => 'a', { principal })
    const app = new Koa().use(answers.koa(() => 'a', { principal }))
    app.silent = true
    const sites = await Promise.all([
      Site.open(answers.express(() => 'a', { principal })),
      Site.open((req, res) => void app.callback()(req, res)),
    ])
    closing.push(...sites.map((site) => () => site.close()))
    const leaving = new AbortController()
    const first = await sites[0].get('/', {}, leaving.signal)
    const asked = new Request('http://localhost/a', { headers })
    for (const response of [
      ...(await Promise.all(sites.map((site) => site.get('/', headers)))),
      await handle(asked),
    ]) {
      expect(response.status).toBe(200)
      expect(await response.text()).toBe('retry: 150\n\n')
    }
    expect((await sites[0].get('/')).status).toBe(429)
    leaving.abort()
    await first.text().catch(() => undefined)
    producer.go()
  })

  test('is put back to its place, so that half an event before it is no part', async () => {
    const { answers, site } = await setUp()
    const { id } = await answers.start('a', ({ append }) => {
      append('one')
      append('two')
    })
    const place = { 'last-event-id': `${id}-1` }
    const text = await (await site.get('/run/a', { ...headers, ...place })).text()
    expect(text.startsWith(`:\nevent: unifrost-connection\nid: ${id}-1\n\ndata: two\n`)).toBe(true)
    expect(await (await site.get('/run/a', place)).text()).toMatch(/^data: two\n/)
  })
})

describe('the frameworks', () => {
  const streamed = async (answers: Runs) => {
    await answers.start('a', { owner: 7 }, ({ append }) => void append('part'))
  }

  test('Koa streams, refuses in JSON and keeps the headers of other middleware', async () => {
    const { answers } = await setUp()
    await streamed(answers)
    const app = new Koa()
    app.silent = true
    app.use((ctx, next) => {
      ctx.set('X-Other', 'kept')
      ctx.state.user = { id: ctx.get('x-user') }
      return next()
    })
    app.use(answers.koa((ctx) => ctx.path.slice(1)))
    const site = await Site.open((req, res) => void app.callback()(req, res))
    closing.push(() => site.close())
    const response = await site.get('/a', { 'x-user': '7' })
    expect(response.headers.get('x-other')).toBe('kept')
    expect(eventsIn(await response.text()).map(({ data }) => data)).toEqual([
      'part',
      '{"kind":"done"}',
    ])
    const refused = await site.get('/a', { 'x-user': '8' })
    expect(refused.status).toBe(404)
    expect(await refused.json()).toMatchObject({ error: { code: 'ERR_UNIFROST_NO_RUN' } })
  })

  test('fetch streams, and refuses in JSON', async () => {
    const { answers } = await setUp()
    await streamed(answers)
    const handle = answers.fetch((request) => new URL(request.url).pathname.slice(1))
    const request = () => new Request('http://localhost/a')
    const response = await handle(withContext(request(), { user: { id: 7 } }))
    expect(eventsIn(await response.text()).map(({ data }) => data)).toEqual([
      'part',
      '{"kind":"done"}',
    ])
    const refused = await handle(request())
    expect(refused.status).toBe(404)
    expect(await refused.json()).toMatchObject({ error: { code: 'ERR_UNIFROST_NO_RUN' } })
  })

  test("a POST's own response is one reader among others, and its leaving is nothing more", async () => {
    const { answers } = await setUp()
    const producer = held()
    const app = express()
    app.post('/chat', (req, res, next) => {
      void answers
        .start('a', producer.produce)
        .then((run) => answers.send(run, req, res))
        .catch(next)
    })
    app.get(
      '/chat',
      answers.express(() => 'a'),
    )
    const site = await Site.open(app)
    closing.push(() => site.close())
    const leaving = new AbortController()
    const posted = await fetch(`${site.address}/chat`, { method: 'POST', signal: leaving.signal })
    producer.append('one')
    expect(eventsIn(await readUntil(posted, (text) => text.includes('one')))).toHaveLength(1)
    leaving.abort()
    producer.append('two')
    producer.go()
    const rest = eventsIn(await (await site.get('/chat')).text())
    expect(rest.map(({ data }) => data)).toEqual(['one', 'two', '{"kind":"done"}'])
  })
})
