import type { ServerResponse } from 'node:http'
import { bodyParser } from '@koa/bodyparser'
import koaCors from '@koa/cors'
import compression from 'compression'
import cors from 'cors'
import express from 'express'
import express4 from 'express4'
import session from 'express-session'
import helmet from 'helmet'
import Koa from 'koa'
import Koa2 from 'koa2'
import compress from 'koa-compress'
import koaHelmet from 'koa-helmet'
import logger from 'koa-logger'
import morgan from 'morgan'
import onFinished from 'on-finished'
import responseTime from 'response-time'
import request from 'supertest'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { openEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'
import { stageForEach } from './support/stage.js'

/** Streams in the company that they have in real applications: one after the other, and all at once. */

const stage = stageForEach()

type Use = express.RequestHandler

/** What everybody copies to log bodies: its `write` answers nothing. */
const recorder: Use = (_request, response, next) => {
  const { write, end } = response
  const chunks: unknown[] = []
  response.write = ((...args: Parameters<typeof write>) => {
    chunks.push(args[0])
    write.apply(response, args)
  }) as never
  response.end = ((...args: Parameters<typeof end>) => {
    chunks.push(args[0])
    end.apply(response, args)
  }) as never
  next()
}

/** Its `write` always answers the same, whatever the response says. */
const answering =
  (answer: boolean): Use =>
  (_request, response, next) => {
    const { write } = response
    response.write = ((...args: Parameters<typeof write>) => {
      write.apply(response, args)
      return answer
    }) as never
    next()
  }

/** What apicache does: it wraps `writeHead`, `write` and `end`, and keeps the content. */
const cache: Use = (_request, response, next) => {
  const { write, end, writeHead } = response
  let content = ''
  response.writeHead = ((...args: Parameters<typeof writeHead>) => {
    response.setHeader('cache-control', 'max-age=60')
    return writeHead.apply(response, args)
  }) as never
  response.write = ((...args: Parameters<typeof write>) => {
    content += String(args[0])
    return write.apply(response, args)
  }) as never
  response.end = ((...args: Parameters<typeof end>) => {
    response.emit('cached', content)
    return end.apply(response, args)
  }) as never
  next()
}

/** What tracing does: it ends the response in its own time. */
const lateEnd: Use = (_request, response, next) => {
  const { end } = response
  response.end = ((...args: Parameters<typeof end>) => {
    setImmediate(() => end.apply(response, args))
    return response
  }) as never
  next()
}

const quiet = morgan('tiny', { stream: { write: () => undefined } })

const watching: Use = (_request, response: ServerResponse, next) => {
  onFinished(response, () => undefined)
  next()
}

const sessions = () => session({ secret: 's', resave: true, saveUninitialized: true })

const noCache: Use = (_request, response, next) => {
  response.set('Cache-Control', 'private, max-age=0')
  next()
}

const company: [string, () => Use][] = [
  ['helmet', () => helmet() as Use],
  ['cors', () => cors() as Use],
  ['express-session', () => sessions() as Use],
  ['compression', () => compression({ threshold: 0 }) as Use],
  ['express.json', () => express.json()],
  ['morgan', () => quiet as Use],
  ['cache headers', () => noCache],
  ['response-time', () => responseTime() as Use],
  ['on-finished', () => watching],
  ['a recorder', () => recorder],
  ['a write that says true', () => answering(true)],
  ['a write that says false', () => answering(false)],
  ['a cache', () => cache],
  ['a late end', () => lateEnd],
]

const onExpress = (factory: () => express.Express, all: Use[]): unknown => {
  const app = factory()
  for (const one of all) app.use(one)
  app.use(forExpress.autoClient(stage.streamer, { topics: ['news'] }))
  return app.use(forExpress.unifrostExpress(stage.streamer))
}

const onKoa = (Factory: new () => Koa): unknown => {
  const app = new Factory()
  app.use(logger(() => undefined))
  app.use(async (ctx, next) => {
    const start = Date.now()
    await next()
    ctx.set('X-Response-Time', `${Date.now() - start}ms`)
    ctx.set('Cache-Control', 'private')
  })
  app.use(koaHelmet())
  app.use(koaCors())
  app.use(compress({ threshold: 0 }))
  app.use(bodyParser())
  const auto = forKoa.autoClient(stage.streamer, { topics: ['news'] })
  const events = forKoa.unifrostKoa(stage.streamer)
  app.use((ctx) => auto(ctx, async () => void (await events(ctx, () => Promise.resolve()))))
  return app.callback()
}

const builds: [string, () => unknown][] = [
  ...company.map(([name, make]): [string, () => unknown] => [
    `Express 5 and ${name}`,
    () => onExpress(express, [make()]),
  ]),
  [
    'Express 5 and all',
    () =>
      onExpress(
        express,
        company.map(([, make]) => make()),
      ),
  ],
  [
    'Express 5 and all, inside out',
    () => onExpress(express, company.map(([, make]) => make()).reverse()),
  ],
  [
    'Express 4 and all',
    () =>
      onExpress(
        express4,
        company.map(([, make]) => make()),
      ),
  ],
  ['Koa 3 and all', () => onKoa(Koa)],
  ['Koa 2 and all', () => onKoa(Koa2)],
]

test.each(builds)(
  '%s: 10 of 10 events, at once, in order, to a clean end',
  async (_name, build) => {
    const url = await stage.serve(build())
    const stream = await openEvents(url)
    await stream.arrived('the first message', 'client_id')
    for (let i = 1; i <= 10; i++) {
      stage.driver.publish('news', `message ${i}`)
      await stream.arrived(`message ${i}`, `message ${i}\n`)
    }
    await stage.streamer.close()
    await stream.end()
    const events = stream.events.filter(({ event }) => event === 'news')
    expect(events.map(({ data }) => data)).toEqual(
      Array.from({ length: 10 }, (_, i) => `message ${i + 1}`),
    )
    expect(stream.events.at(-1)?.data).toBe('Client closed')
  },
)

test.each([
  ['answers nothing', recorder],
  ['says true', answering(true)],
  ['says false', answering(false)],
  ['is compressed', compression({ threshold: 0 }) as Use],
])(
  'behind a write that %s, a reader that stalls is not written to for ever',
  async (_what, use) => {
    await stage.streamer.close()
    stage.streamer = new Streamer((stage.driver = memoryDriver()), { slowClientTimeout: 60_000 })
    const url = await stage.serve(onExpress(express, [noCache, use]))
    const stream = await openEvents(url)
    await stream.arrived('the first message', 'client_id')
    stream.pause()
    const large = Buffer.alloc(1_000_000, 'x')
    await until('the connection to stall', () => {
      stage.driver.publish('news', large)
      return stage.streamer.stats().stalled.connections === 1
    })
    stage.driver.publish('news', 'the last')
    stream.resume()
    await stream.arrived('the last', 'the last\n')
    expect(stage.streamer.stats().stalled.connections).toBe(0)
  },
)

describe('a log-out while a stream is open', () => {
  const build = (store?: session.Store) => {
    const app = express()
    app.use(
      session({ secret: 's', resave: true, saveUninitialized: false, ...(store && { store }) }),
    )
    app.post('/login', (incoming, response) => {
      Object.assign(incoming.session, { user: 'alice' })
      response.json({})
    })
    app.post('/logout', (incoming, response, next) => {
      incoming.session.destroy((error) => {
        if (error) next(error)
        else void stage.streamer.revoke('alice').then(() => response.json({}))
      })
    })
    app.get('/me', (incoming, response) => {
      response.json({ user: (incoming.session as { user?: string }).user ?? null })
    })
    const options = {
      principal: (incoming: express.Request) => (incoming.session as { user?: string }).user,
    }
    app.use('/events', forExpress.autoClient(stage.streamer, { topics: ['news'], ...options }))
    return app.use('/events', forExpress.unifrostExpress(stage.streamer, options))
  }

  async function login(url: string): Promise<Record<string, string>> {
    const answer = await request(url).post('/login')
    return { cookie: String(answer.headers['set-cookie']).split(';')[0]! }
  }

  test('is not undone by the session that the stream was opened with', async () => {
    const url = await stage.serve(build())
    const cookie = await login(url)
    const stream = await openEvents(`${url}/events`, cookie)
    await stream.arrived('the first message', 'client_id')
    await request(url).post('/logout').set(cookie)
    await stream.end()
    expect((await request(url).get('/me').set(cookie)).body).toEqual({ user: null })
  })

  test('a session that was not destroyed is still there when its stream has ended', async () => {
    const url = await stage.serve(build())
    const cookie = await login(url)
    const stream = await openEvents(`${url}/events`, cookie)
    await stream.arrived('the first message', 'client_id')
    await stage.streamer.close()
    await stream.end()
    expect((await request(url).get('/me').set(cookie)).body).toEqual({ user: 'alice' })
  })

  test('a store that fails at the end does not keep the stream open, and is not written to', async () => {
    const store = new session.MemoryStore()
    const url = await stage.serve(build(store))
    const cookie = await login(url)
    const stream = await openEvents(`${url}/events`, cookie)
    await stream.arrived('the first message', 'client_id')
    const written = jest.spyOn(store, 'set')
    store.get = (_id, callback) => callback(new Error('away'))
    await stage.streamer.close()
    await stream.end()
    expect(written).not.toHaveBeenCalled()
  })
})
