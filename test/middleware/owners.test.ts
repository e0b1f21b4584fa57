import express from 'express'
import Koa from 'koa'
import request from 'supertest'
import { ClientIdError, memoryDriver, OptionsError, Streamer, TopicNameError } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { listen } from './support/apps.js'

let streamer: Streamer
let running: Awaited<ReturnType<typeof listen>> | undefined

beforeEach(() => (streamer = new Streamer(memoryDriver(), { maxConnectionsPerOwner: 1 })))
afterEach(async () => {
  await streamer.close()
  await running?.close()
  running = undefined
})

test.each<[string, () => unknown]>([
  ["newClient('alice')", () => streamer.newClient('alice' as never)],
  ["newCustomClient(id, 'alice')", () => streamer.newCustomClient('c', 'alice' as never)],
  ...[undefined, null, '', 42, NaN, ['alice'], {}, true, 'undefined', '[object Object]'].map(
    (owner): [string, () => unknown] => [
      `newClient({ owner: ${String(JSON.stringify(owner))} })`,
      () => streamer.newClient({ owner: owner as never }),
    ],
  ),
])('%s makes no client without an owner', async (_what, make) => {
  await expect(async () => make()).rejects.toThrow(OptionsError)
  expect(streamer.totalClients).toBe(0)
})

test('`owner: false` makes a client that belongs to nobody', async () => {
  expect((await streamer.newClient({ owner: false })).owner).toBeUndefined()
  expect((await streamer.newClient()).owner).toBeUndefined()
})

test.each([[42], ['42'], [42n], [{ id: 42 }], [{ sub: '42', id: 1 }]])(
  'revoke(%p) names the owner by the rule that owners are made by',
  async (named) => {
    await streamer.newClient({ owner: '42' })
    expect(await streamer.clientsOfOwner(named)).toMatchObject({ clients: 1 })
    expect(await streamer.revoke(named)).toEqual({ ended: 1, pending: [] })
    expect(streamer.totalClients).toBe(0)
  },
)

test.each([[undefined], [null], [''], [NaN], [{}], [{ sub: NaN }], [['a']], [true]])(
  'revoke(%p) is refused',
  async (named) => {
    await expect(streamer.revoke(named as never)).rejects.toThrow(OptionsError)
    await expect(streamer.clientsOfOwner(named as never)).rejects.toThrow(OptionsError)
  },
)

test.each([[undefined], [null], [42], [{}]])('a client’s id is text, not %p', async (id) => {
  const it = id as never
  await expect(streamer.findClient(it)).rejects.toThrow(ClientIdError)
  await expect(streamer.removeClient(it)).rejects.toThrow(ClientIdError)
  await expect(streamer.subscribe(it, 'a')).rejects.toThrow(ClientIdError)
  await expect(streamer.unsubscribe(it, 'a')).rejects.toThrow(ClientIdError)
  const { id: own } = await streamer.newClient()
  await expect(streamer.unsubscribe(own, it)).rejects.toThrow(TopicNameError)
  await expect(streamer.clientsOf(it)).rejects.toThrow(TopicNameError)
})

test('`handle` takes Node’s request and response, and nothing of a framework’s', async () => {
  const reply = { header: () => undefined, send: () => undefined }
  await expect(streamer.handle({ headers: {} } as never, reply as never)).rejects.toThrow('.raw')
  await expect(streamer.handle(undefined as never, reply as never)).rejects.toThrow(OptionsError)
})

test.each([
  { owner: undefined },
  { owner: 42 },
  { id: undefined },
  { id: '' },
  { expires: NaN },
  { expire: 1 },
])('`handle` with %p opens no stream', async (options) => {
  const { id } = await streamer.newClient()
  const errors: unknown[] = []
  streamer.on('error', (error) => void errors.push(error.cause))
  running = await listen((req: never, res: never) => streamer.handle(req, res, options as never))
  const answer = await request(running.url).get(`/?id=${id}`)
  expect(answer.status).toBe(500)
  expect(answer.text).toContain('ERR_UNIFROST_OPTIONS')
})

const who = { principal: () => ({ sub: 'alice' }) }

describe.each([
  {
    name: 'Express',
    build: (first: object, second: object) => {
      const app = express().set('env', 'test')
      app.use('/auto', forExpress.autoClient(streamer, { topics: ['a'], ...first }))
      app.use('/clients', forExpress.clients(streamer, first))
      return app.use(forExpress.unifrostExpress(streamer, second)) as unknown
    },
    stray: (place: string) => {
      const app = express().set('env', 'test')
      app.use((incoming, _response, next) => {
        put(incoming, place, { id: 1 })
        next()
      })
      return app.use(forExpress.clients(streamer)) as unknown
    },
    places: ['session.user', 'session.passport.user', 'res.locals.user', 'userId'],
  },
  {
    name: 'Koa',
    build: (first: object, second: object) => {
      const app = new Koa()
      app.silent = true
      const auto = forKoa.autoClient(streamer, { topics: ['a'], ...first })
      const clients = forKoa.clients(streamer, first)
      app.use((ctx, next) => (ctx.path === '/auto' ? auto(ctx, next) : next()))
      app.use((ctx, next) => (ctx.path === '/clients' ? clients(ctx, next) : next()))
      return app.use(forKoa.unifrostKoa(streamer, second)).callback()
    },
    stray: (place: string) => {
      const app = new Koa()
      app.silent = true
      app.use((ctx, next) => {
        put(ctx, place, { id: 1 })
        return next()
      })
      return app.use(forKoa.clients(streamer)).callback()
    },
    places: ['user', 'session.user', 'state.auth', 'req.user'],
  },
])('$name', ({ build, stray, places }) => {
  test.each([
    ['the stream and not at autoClient', {}, who],
    ['autoClient and not at the stream', who, {}],
  ])('whoever names a principal at %s is told', async (_what, first, second) => {
    running = await listen(build(first, second) as never)
    const answer = await request(running.url).get('/auto')
    expect([answer.status, answer.text]).toEqual([500, expect.stringContaining('_OPTIONS')])
    expect(streamer.totalClients).toBe(0)
  })

  test('whoever names a principal at the stream and not at `clients` is told', async () => {
    running = await listen(build({}, who) as never)
    const { client_id: id } = (await request(running.url).post('/clients')).body as {
      client_id: string
    }
    const answer = await request(running.url).get(`/?id=${id}`)
    expect([answer.status, answer.text]).toEqual([500, expect.stringContaining('_OPTIONS')])
    // A client that the application made itself is left to it.
    const own = await streamer.newClient()
    expect((await request(running.url).head(`/?id=${own.id}`)).status).toBe(200)
  })

  test.each(places)('a user at %s, where nobody looks, is not nobody', async (place) => {
    running = await listen(stray(place) as never)
    expect((await request(running.url).post('/')).status).toBe(500)
    expect(streamer.totalClients).toBe(0)
  })

  test('DELETE takes one client’s id, and an object as its body', async () => {
    running = await listen(build({ owner: false }, {}) as never)
    await streamer.newCustomClient('a')
    await streamer.newCustomClient('b')
    const app = request(running.url)
    for (const answer of [
      await app.delete('/clients?id=a').send({ client_id: 'b' }),
      await app.delete('/clients?id=a&id=b'),
      await app.delete('/clients?id=a').send(['b']),
      await app.delete('/clients').send('"b"').set('content-type', 'application/json'),
    ]) {
      expect(answer.status).toBe(400)
    }
    expect(streamer.totalClients).toBe(2)
    expect((await app.delete('/clients?id=a').send({ client_id: 'a' })).status).toBe(204)
  })
})

function put(root: object, place: string, value: unknown): void {
  const keys = place.split('.')
  let target = root as Record<string, object>
  for (const key of keys.slice(0, -1)) target = (target[key] ??= {}) as never
  Object.assign(target, { [keys.at(-1)!]: value })
}
