import express from 'express'
import Koa from 'koa'
import request from 'supertest'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { listen } from './support/apps.js'

const named = ['principal', 'owner', 'session']

/** Each middleware with each function that it takes, and the request that has it called. */
const calls = [
  ...[...named, 'expires'].map((option) => call('stream', option, 'get')),
  ...[...named, 'id', 'topics', 'authorize'].map((option) => call('autoClient', option, 'get')),
  ...named.map((option) => call('clients', option, 'post')),
  call('clients', 'principal', 'delete'),
  ...[...named, 'authorize'].map((option) =>
    call('subscriptions', option, 'post', { client_id: 'hers', add: ['a'] }),
  ),
  call('authenticate', 'verify', 'get'),
  call('authenticate', 'from', 'get'),
]

function call(name: Name, option: string, method: 'get' | 'post' | 'delete', body?: object) {
  return { name, option, method, body }
}

type Name = 'stream' | 'autoClient' | 'clients' | 'subscriptions' | 'authenticate'

const USER = { sub: 'ann', sid: 'log-in-1' }

/** An app with this middleware alone, behind a log-in. */
type Build = (streamer: Streamer, name: Name, options: never) => never

const expressApp: Build = (streamer, name, options) => {
  const { authenticate, autoClient, clients, subscriptions, unifrostExpress } = forExpress
  const make = {
    stream: () => unifrostExpress(streamer, options),
    autoClient: () => autoClient(streamer, options),
    clients: () => clients(streamer, options),
    subscriptions: () => subscriptions(streamer, options),
    authenticate: () => authenticate(options),
  }
  const app = express()
  app.set('env', 'test')
  app.use((asked, _response, next) => {
    Object.assign(asked, { user: USER })
    next()
  })
  app.use(make[name]())
  return app as never
}

const koaApp: Build = (streamer, name, options) => {
  const { authenticate, autoClient, clients, subscriptions, unifrostKoa } = forKoa
  const make = {
    stream: () => unifrostKoa(streamer, options),
    autoClient: () => autoClient(streamer, options),
    clients: () => clients(streamer, options),
    subscriptions: () => subscriptions(streamer, options),
    authenticate: () => authenticate(options),
  }
  const app = new Koa()
  app.silent = true
  app.use((ctx, next) => {
    ctx.state.user = USER
    return next()
  })
  app.use(make[name]())
  return app.callback() as never
}

describe.each([
  ['Express', expressApp],
  ['Koa', koaApp],
])('what a function throws for the client is the answer, with %s', (_, build) => {
  let end: () => Promise<void>
  afterEach(() => end())

  async function start(name: Name, options: object): Promise<string> {
    const streamer = new Streamer(memoryDriver())
    await streamer.newCustomClient('hers', { owner: 'ann' })
    const { url, close } = await listen(build(streamer, name, options as never))
    end = async () => {
      await close()
      await streamer.close()
    }
    return url
  }

  /** What an option needs beside it, and something for each that the middleware can't do without. */
  const around: Record<Name, object> = {
    stream: {},
    autoClient: { id: () => 'new', topics: ['a'], authorize: () => true },
    clients: {},
    subscriptions: { authorize: () => true },
    authenticate: { verify: () => USER, from: ['authorization'] },
  }

  test.each(calls)('$name({ $option }), $method', async ({ name, option, method, body }) => {
    let thrown: Error = Object.assign(new Error('Pay first.'), { status: 402, expose: true })
    const fails = () => {
      throw thrown
    }
    const url = await start(name, {
      ...around[name],
      [option]: option === 'from' ? [fails] : fails,
    })
    const ask = () =>
      request(url)[method]('/?id=hers').set('Authorization', 'Bearer token').send(body)
    const paid = await ask()
    expect([paid.status, paid.body]).toEqual([
      402,
      { error: { code: 'ERR_UNIFROST_REFUSED', message: 'Pay first.' } },
    ])
    thrown = Object.assign(new Error('secret'), { status: 402, expose: false })
    const hidden = await ask()
    expect(hidden.status).toBe(500)
    expect(hidden.text).not.toContain('secret')
  })

  test('a request to subscriptions of a log-in that was revoked gets 401', async () => {
    const streamer = new Streamer(memoryDriver())
    await streamer.newCustomClient('hers', { owner: 'ann' })
    const session = () => 'log-in-2'
    const app = build(streamer, 'subscriptions', { authorize: () => true, session } as never)
    const { url, close } = await listen(app)
    end = async () => {
      await close()
      await streamer.close()
    }
    const add = () =>
      request(url)
        .post('/')
        .send({ client_id: 'hers', add: ['a'] })
    await streamer.revoke({ session: 'log-in-1' })
    expect((await add()).status).toBe(200)
    await streamer.revoke({ session: 'log-in-2' })
    const answer = await add()
    expect([answer.status, (answer.body as { error: { code: string } }).error.code]).toEqual([
      401,
      'ERR_UNIFROST_REVOKED',
    ])
  })
})
