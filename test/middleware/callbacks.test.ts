import Koa from 'koa'
import express from 'express'
import request from 'supertest'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { openEvents } from '../support/event-stream.js'
import { StubDriver } from '../support/stub-driver.js'
import { turns } from '../support/stage.js'
import { listen } from './support/apps.js'

/**
 * Every callback of the application's times everything that it can do wrong. None ends the process,
 * none is passed over in silence, and none opens a stream.
 */

const broken = new Error('the secret of the application')

const wrong: Record<string, () => unknown> = {
  'that throws': () => {
    throw broken
  },
  'that rejects': () => Promise.reject(broken),
  'that gives a promise': () => Promise.resolve('alice'),
  'that gives an object': () => ({ at: 1 }),
  'that gives a list': () => ['alice'],
  'that gives NaN': () => NaN,
  'that gives a symbol': () => Symbol('alice'),
  'that gives a function': () => () => 'alice',
}

interface Options {
  stream?: object
  from?: () => unknown
  verify?: () => unknown
}

let streamer: Streamer
let running: Awaited<ReturnType<typeof listen>>
const unhandled: unknown[] = []
const note = (error: unknown) => void unhandled.push(error)

beforeEach(() => {
  streamer = new Streamer(memoryDriver())
  process.on('unhandledRejection', note)
})

afterEach(async () => {
  await turns()
  process.off('unhandledRejection', note)
  await streamer.close()
  await running.close()
  expect(unhandled.splice(0)).toEqual([])
})

function expressApp({ stream = {}, from, verify = () => 'alice' }: Options): unknown {
  const app = express()
  app.set('env', 'test')
  if (from) app.use(forExpress.authenticate({ verify, from: [from] } as never))
  else app.use(forExpress.authenticate({ verify, from: [() => 'token'] }))
  const who = Object.fromEntries(Object.entries(stream).filter(([name]) => name !== 'expires'))
  app.use('/events', forExpress.autoClient(streamer, { topics: ['a'], ...who }))
  app.use('/events', forExpress.unifrostExpress(streamer, stream))
  app.use('/clients', forExpress.clients(streamer, who))
  return app
}

function koaApp({ stream = {}, from, verify = () => 'alice' }: Options): unknown {
  const app = new Koa()
  app.silent = true
  if (from) app.use(forKoa.authenticate({ verify, from: [from] } as never))
  else app.use(forKoa.authenticate({ verify, from: [() => 'token'] }))
  const who = Object.fromEntries(Object.entries(stream).filter(([name]) => name !== 'expires'))
  const auto = forKoa.autoClient(streamer, { topics: ['a'], ...who })
  const events = forKoa.unifrostKoa(streamer, stream)
  const clients = forKoa.clients(streamer, who)
  app.use((ctx, next) =>
    ctx.path === '/clients' ? clients(ctx, next) : auto(ctx, () => events(ctx, next) as never),
  )
  return app.callback()
}

describe.each([
  { name: 'Express', build: expressApp },
  { name: 'Koa', build: koaApp },
])('$name', ({ build }) => {
  describe.each(Object.entries(wrong))('a function %s', (what, callback) => {
    test.each(['principal', 'owner', 'session', 'expires'])(
      'as `%s` opens no stream',
      async (option) => {
        running = await listen(build({ stream: { [option]: callback } }) as never)
        const answer = await request(running.url).get('/events')
        // An object may be a principal; it names no owner.
        const code = /"code":"(\w+)"/.exec(answer.text)?.[1]
        expect([answer.status, code]).toEqual([500, expect.stringMatching(/_(CALLBACK|OPTIONS)$/)])
        expect(answer.text).not.toMatch(/secret/)
        expect(streamer.totalClients).toBe(0)
      },
    )

    test('as a source of tokens lets nobody in', async () => {
      running = await listen(build({ from: callback }) as never)
      const answer = await request(running.url).post('/clients')
      // A promise is refused here too; only text is a token.
      expect(answer.status).toBe(500)
      expect(answer.text).toContain('ERR_UNIFROST_CALLBACK')
    })
  })

  test.each([[undefined], [null], [false], ['']])(
    'a `principal` that finds nobody (%p) gets 401, and no client without owner',
    async (nobody) => {
      running = await listen(build({ stream: { principal: () => nobody } }) as never)
      expect((await request(running.url).get('/events')).status).toBe(401)
      expect((await request(running.url).post('/clients')).status).toBe(401)
      expect((await request(running.url).delete('/clients?id=x')).status).toBe(401)
      expect(streamer.totalClients).toBe(0)
    },
  )

  test.each([
    [NaN],
    [{ id: NaN }],
    [{ sub: '' }],
    [{ sub: null, id: Infinity }],
    [{ sub: 'undefined' }],
    [true],
    [['alice']],
  ])('a principal that names nobody (%p) owns nothing', async (principal) => {
    running = await listen(build({ stream: { principal: () => principal } }) as never)
    const answer = await request(running.url).post('/clients')
    expect(answer.status).toBe(500)
    expect(streamer.totalClients).toBe(0)
  })

  test('`owner: false` says on purpose that clients belong to nobody', async () => {
    running = await listen(build({ stream: { owner: false } }) as never)
    const stream = await openEvents(`${running.url}/events`)
    expect(stream.status).toBe(200)
    expect(await streamer.clientsOfOwner('alice')).toMatchObject({ clients: 0 })
  })

  test.each([
    ['a text', '1577836800'],
    ['NaN', NaN],
    ['null', null],
    ['a time in milliseconds', Date.now()],
    ['an object', {}],
  ])('a principal whose exp is %s gets no stream', async (_what, exp) => {
    running = await listen(build({ stream: { principal: () => ({ sub: 'a', exp }) } }) as never)
    const answer = await request(running.url).get('/events')
    expect(answer.status).toBe(500)
    expect(answer.text).toContain('ERR_UNIFROST_OPTIONS')
  })

  test('where `verify` gives NaN, nobody is let in; where it gives no principal, 401', async () => {
    for (const [value, status] of [
      [NaN, 500],
      ['', 401],
      [undefined, 401],
      [false, 401],
    ] as const) {
      running = await listen(build({ verify: () => value }) as never)
      expect((await request(running.url).post('/clients')).status).toBe(status)
      await running.close()
    }
  })
})

describe('a logger, a listener, `newId`, `random` or `clock` that fails', () => {
  beforeEach(async () => {
    running = await listen(() => undefined)
  })

  test.each(Object.entries(wrong))('as a logger: a function %s does no harm', async (_, log) => {
    const driver = new StubDriver()
    const logger = { debug: log, info: log, warn: log, error: log }
    const it = new Streamer(driver, { logger: logger })
    const { id } = await it.newClient()
    await it.subscribe(id, 'a')
    driver.last('a').sink.gap('the link was lost')
    driver.last('a').sink.fail(new Error('over'))
    await turns()
    await it.close()
  })

  test('an async listener that rejects is told by an `error` event, a thenable’s too', async () => {
    const errors: unknown[] = []
    streamer.on('error', (error) => void errors.push((error.cause as Error).message))
    streamer.on('clientCreated', () => Promise.reject(new Error('one')))
    const thenable = { then: (_: unknown, reject: (e: Error) => void) => reject(new Error('two')) }
    streamer.on('clientCreated', () => thenable)
    await streamer.newClient()
    await turns()
    expect(errors.sort()).toEqual(['one', 'two'])
  })

  test.each(Object.entries(wrong))('`newId`: a function %s makes no client', async (_, newId) => {
    const it = new Streamer(memoryDriver(), { newId: newId as never })
    await expect(it.newClient()).rejects.toMatchObject({ code: 'ERR_UNIFROST_CALLBACK' })
    expect(it.totalClients).toBe(0)
    await it.close()
  })

  test.each(Object.entries(wrong))('`random`: a function %s is told once', async (_, random) => {
    const errors: unknown[] = []
    const it = new Streamer(memoryDriver(), { random: random as never })
    it.on('error', (error) => void errors.push(error.cause))
    const server = await listen((req: never, res: never) => it.handle(req, res))
    for (let i = 0; i < 2; i++) {
      const stream = await openEvents(`${server.url}/?id=${(await it.newClient()).id}`)
      expect(stream.status).toBe(200)
    }
    expect(errors).toMatchObject([{ code: 'ERR_UNIFROST_CALLBACK' }])
    await it.close()
    await server.close()
  })

  test.each(Object.entries(wrong))('`clock`: a `now` %s is refused', (_, now) => {
    const clock = { now, setTimeout: () => undefined, clearTimeout: () => undefined }
    expect(() => new Streamer(memoryDriver(), { clock: clock as never })).toThrow('clock.now')
  })
})
