import Router from '@koa/router'
import express from 'express'
import Koa from 'koa'
import request from 'supertest'
import { memoryDriver, OptionsError, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { openEvents } from '../support/event-stream.js'
import { StubDriver } from '../support/stub-driver.js'
import { until } from '../support/until.js'
import { listen } from './support/apps.js'

/** What Express's request and Koa's context have in common: as much as these options look at. */
interface Asked {
  get(header: string): string | string[] | undefined
}

interface User {
  email: string
  until?: number
}

/** The options that say who somebody is, taken from a header of the application's own. */
interface Who {
  principal?: (asked: Asked) => User | undefined
  owner?: (user: User) => string
  expires?: (user: User) => number | undefined
}

interface Settings {
  who?: Who
  /** Answers 418 between autoClient and the stream. */
  refusing?: boolean
  auto?: {
    topics?: string[] | (() => string[] | Promise<string[]>)
    authorize?: () => boolean
    id?: () => string
  }
  from?: (asked: Asked) => string | undefined
}

type Listener = (request: never, response: never) => void

/** What says who somebody is, for a middleware that does not stream. */
function userOf({ principal, owner }: Who = {}): Omit<Who, 'expires'> {
  return { ...(principal && { principal }), ...(owner && { owner }) }
}

function expressApp(streamer: Streamer, { who, auto, from, refusing }: Settings): Listener {
  const { authenticate, autoClient, clients, unifrostExpress } = forExpress
  const app = express()
  if (from) app.use(authenticate({ verify: (token) => ({ sub: token }), from: [from] }))
  const user = userOf(who)
  if (auto) app.use('/events', autoClient(streamer, { ...user, ...auto }))
  if (refusing) app.use('/events', (_request, response) => void response.sendStatus(418))
  app.use('/events', unifrostExpress(streamer, { ...who }))
  app.use('/clients', clients(streamer, user))
  // Express prints errors that have no handler.
  app.set('env', 'test')
  return app as Listener
}

function koaApp(streamer: Streamer, { who, auto, from, refusing }: Settings): Listener {
  const { authenticate, autoClient, clients, unifrostKoa } = forKoa
  const app = new Koa()
  const router = new Router()
  if (from) app.use(authenticate({ verify: (token) => ({ sub: token }), from: [from] }))
  const user = userOf(who)
  if (auto) router.all('/events', autoClient(streamer, { ...user, ...auto }))
  if (refusing) router.all('/events', (ctx) => void (ctx.status = 418))
  router.all('/events', unifrostKoa(streamer, { ...who }))
  router.all('/clients', clients(streamer, user))
  app.use(router.routes())
  app.silent = true
  return app.callback()
}

const header = (name: string) => (asked: Asked) => asked.get(name)?.toString() || undefined
const ann = { 'x-user': 'ann@example.com' }
const bob = { 'x-user': 'bob@example.com' }

const who: Who = {
  principal: (asked) => {
    const email = header('x-user')(asked)
    return email === undefined ? undefined : { email }
  },
  owner: ({ email }) => email,
}
const broken = (): never => {
  throw new Error('the secret of the application')
}

let streamer: Streamer
let running: Awaited<ReturnType<typeof listen>> | undefined

afterEach(async () => {
  await streamer.close()
  await running?.close()
  running = undefined
})

describe.each([
  { name: 'Express', build: expressApp },
  { name: 'Koa', build: koaApp },
])('$name', ({ build }) => {
  async function start(settings: Settings, driver: StubDriver | undefined = undefined) {
    streamer = new Streamer(driver ?? memoryDriver())
    running = await listen(build(streamer, settings))
    return request(running.url)
  }

  /** A failure of the application's, of which nobody outside learns more than that. */
  function expectFailure({ status, text }: { status: number; text: string }, code: string): void {
    expect(status).toBe(500)
    expect(JSON.parse(text)).toMatchObject({ error: { code } })
    expect(text).not.toMatch(/secret|\.ts|\bat /)
  }

  test('`principal` and `owner` give a client’s owner, and it opens for no other', async () => {
    const app = await start({ who })
    const made = await app.post('/clients').set(ann)
    const { client_id: id } = made.body as { client_id: string }
    expect(streamer.getClient(id)?.owner).toBe('ann@example.com')
    expect((await app.get(`/events?id=${id}`).set(bob)).status).toBe(403)
    expect((await app.delete(`/clients?id=${id}`).set(bob)).status).toBe(403)
    expect((await app.delete(`/clients?id=${id}`)).status).toBe(401)
    const stream = await openEvents(`${running!.url}/events?id=${id}`, ann)
    expect(stream.status).toBe(200)
    expect((await app.delete(`/clients?id=${id}`).set(ann)).status).toBe(204)
  })

  test('a principal without an owner is refused, and the answer does not show it', async () => {
    const app = await start({ who: { principal: () => ({ email: 'a secret' }) } })
    expectFailure(await app.post('/clients'), 'ERR_UNIFROST_OPTIONS')
    expect(streamer.totalClients).toBe(0)
  })

  test('`expires` ends the stream, where the principal has no exp of its own', async () => {
    const end = Date.now() + 2_000
    await start({ who: { ...who, expires: () => end }, auto: { topics: ['a'] } })
    const stream = await openEvents(`${running!.url}/events`, ann)
    expect(stream.status).toBe(200)
    await stream.end()
    expect(Date.now()).toBeGreaterThanOrEqual(end)
    expect(stream.infos.at(-1)).toMatchObject({ error: { code: 'token-expired' } })
  })

  test('a function of `from` finds the token; a request without one is refused', async () => {
    const app = await start({ from: header('x-token') })
    expect((await app.post('/clients')).status).toBe(401)
    const made = await app.post('/clients').set('x-token', 'ann')
    const { client_id: id } = made.body as { client_id: string }
    expect(streamer.getClient(id)?.owner).toBe('ann')
  })

  test.each<[string, Settings]>([
    ['principal', { who: { principal: broken } }],
    ['owner', { who: { ...who, owner: broken } }],
    ['from', { from: broken }],
  ])('where `%s` throws, the request fails and nothing is made', async (_, settings) => {
    const app = await start(settings)
    expectFailure(await app.post('/clients').set(ann), 'ERR_UNIFROST_CALLBACK')
    expect(streamer.totalClients).toBe(0)
  })

  test.each<[string, Settings]>([
    ['topics', { auto: { topics: broken } }],
    ['id', { auto: { topics: ['a'], id: broken } }],
    ['authorize', { auto: { authorize: broken } }],
    ['expires', { who: { ...who, expires: broken }, auto: { topics: ['a'] } }],
  ])('where `%s` throws, there is no stream and no client left', async (_, settings) => {
    const app = await start(settings)
    expectFailure(await app.get('/events?topic=a').set(ann), 'ERR_UNIFROST_CALLBACK')
    expect(streamer.totalClients).toBe(0)
  })

  test('a function of `topics` gives them', async () => {
    await start({ auto: { topics: () => ['a', 'b'] } })
    const stream = await openEvents(`${running!.url}/events`)
    expect(stream.status).toBe(200)
    expect(streamer.stats().topics).toBe(2)
  })

  test('two requests at once for the same `id` share one client', async () => {
    let asked = 0
    let answer: (topics: string[]) => void = () => undefined
    const answered = new Promise<string[]>((resolve) => (answer = resolve))
    const topics = () => {
      asked++
      return answered
    }
    await start({ auto: { id: () => 'same', topics } })
    const opening = [1, 2].map(() => openEvents(`${running!.url}/events`))
    await until('both to have found no client', () => asked === 2)
    answer(['a'])
    const streams = await Promise.all(opening)
    expect(streams.map(({ status }) => status)).toEqual([200, 200])
    expect(streamer.totalClients).toBe(1)
    await until('one stream to have replaced the other', () => streams.some(({ ended }) => ended))
    expect(streams.filter(({ ended }) => ended)).toHaveLength(1)
    expect(streamer.getClient('same')).toMatchObject({ connected: true, topics: ['a'] })
  })

  test('autoClient leaves no client behind if the broker refuses a topic', async () => {
    const driver = new StubDriver()
    driver.direct = false
    const app = await start({ auto: { topics: ['a'] } }, driver)
    const asked = app.get('/events').then((answer) => answer)
    await until('the topic to be asked for', () => driver.openings.length > 0)
    driver.last('a').refuse(new Error('no such topic'))
    expect((await asked).status).toBe(502)
    expect(streamer.totalClients).toBe(0)
  })

  test('the client of autoClient is removed if another handler answers', async () => {
    const app = await start({ auto: { topics: ['a'] }, refusing: true })
    expect((await app.get('/events')).status).toBe(418)
    await until('the client to be gone', () => streamer.totalClients === 0)
  })

  test('DELETE takes the id from a JSON body as well', async () => {
    const app = await start({})
    await streamer.newCustomClient('c')
    expect((await app.delete('/clients').send({ client_id: 7 })).body).toMatchObject({
      error: { code: 'ERR_UNIFROST_BODY', message: 'client_id must be a string.' },
    })
    expect((await app.delete('/clients').send({})).status).toBe(400)
    expect((await app.delete('/clients').send({ client_id: 'd' })).status).toBe(401)
    expect((await app.delete('/clients').send({ client_id: 'c' })).status).toBe(204)
    expect(streamer.totalClients).toBe(0)
  })
})

test('wrong options are refused when the app is made', () => {
  streamer = new Streamer(memoryDriver())
  const none = {} as forExpress.AuthenticateOptions<express.Request, unknown>
  expect(() => forExpress.authenticate(none)).toThrow(OptionsError)
  expect(() => forKoa.authenticate({} as never)).toThrow('takes { verify')
  expect(() => forExpress.unifrostExpress('localhost' as never)).toThrow(OptionsError)
  expect(() => forKoa.unifrostKoa(7 as never)).toThrow('takes a Streamer')
})
