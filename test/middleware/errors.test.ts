import connect from 'connect'
import express from 'express'
import Koa from 'koa'
import request from 'supertest'
import * as core from 'unifrost'
import { memoryDriver, Streamer, UnifrostError } from 'unifrost'
import * as forExpress from 'unifrost/express'
import { listen } from './support/apps.js'

let streamer: Streamer
let running: Awaited<ReturnType<typeof listen>> | undefined

beforeEach(() => (streamer = new Streamer(memoryDriver())))
afterEach(async () => {
  await streamer.close()
  await running?.close()
  running = undefined
})

test('an error handler that knows statusCode only, as NestJS’s, finds the status', async () => {
  const app = express().use(forExpress.unifrostExpress(streamer))
  app.use(((error: { statusCode?: number }, _request, response, _next) => {
    response.status(error.statusCode ?? 500).end()
  }) as express.ErrorRequestHandler)
  running = await listen(app as never)
  expect((await request(running.url).get('/?id=nobody')).status).toBe(401)
  expect((await request(running.url).get('/')).status).toBe(400)
})

describe('with the middleware of one copy of the package and the Streamer of another', () => {
  const other = () => {
    let copy: typeof core | undefined
    jest.isolateModules(() => (copy = jest.requireActual<typeof core>('unifrost')))
    return copy!
  }

  test('errors keep their status, on Express and Koa', async () => {
    const { Streamer: Other, memoryDriver: driver } = other()
    const theirs = new Other(driver())
    const { unifrostKoa } = await import('unifrost/koa')
    const koa = new Koa()
    koa.silent = true
    koa.use(unifrostKoa(theirs as never))
    for (const app of [
      express().use(forExpress.unifrostExpress(theirs as never)),
      koa.callback(),
    ]) {
      const started = await listen(app as never)
      const answer = await request(started.url).get('/?id=nobody')
      expect(answer.status).toBe(401)
      expect(answer.text).toContain('ERR_UNIFROST_NO_CLIENT')
      await started.close()
    }
    await theirs.close()
  })

  test('`instanceof UnifrostError` holds for the errors of both, and for nothing else', () => {
    const { NoClientError, UnifrostError: Theirs } = other()
    expect(new NoClientError()).toBeInstanceOf(UnifrostError)
    expect(new core.NoClientError()).toBeInstanceOf(Theirs)
    expect(new core.NoClientError()).not.toBeInstanceOf(core.NoIdError)
    for (const value of [
      new Error('x'),
      { code: 'ERR_UNIFROST_NO_CLIENT' },
      null,
      undefined,
      'x',
    ]) {
      expect(value instanceof UnifrostError).toBe(false)
    }
  })
})

describe('a router that is not Express’s', () => {
  const build = (page?: connect.ErrorHandleFunction) => {
    const app = connect()
    app.use(
      '/login',
      forExpress.authenticate({
        verify: () => {
          throw new Error('the database is at 10.0.0.1')
        },
      }),
    )
    app.use(
      '/topics',
      (incoming: connect.IncomingMessage & { auth?: unknown }, _response, next) => {
        incoming.auth = 'alice'
        next()
      },
    )
    app.use(
      '/topics',
      forExpress.autoClient(streamer, {
        authorize: () => {
          throw new Error('the database is at 10.0.0.1')
        },
      }),
    )
    app.use('/events', forExpress.unifrostExpress(streamer))
    if (page !== undefined) app.use(page)
    return app
  }

  test('answers with the status, and neither a stack nor what went wrong inside', async () => {
    const told: string[] = []
    streamer.on('error', ({ cause }) => void told.push((cause as Error).message))
    running = await listen(build())
    const silent = jest.spyOn(console, 'error').mockImplementation(() => undefined)
    const answers = [
      await request(running.url).get('/events?id=nobody'),
      await request(running.url).get('/topics?topic=a'),
      await request(running.url).get('/login').set('authorization', 'Bearer x'),
    ]
    silent.mockRestore()
    expect(answers.map(({ status }) => status)).toEqual([401, 500, 500])
    for (const { text } of answers) expect(text).not.toMatch(/\.[jt]s|node_modules|\bat |10\.0\.0/)
    expect(told).toEqual(['authorize failed: the database is at 10.0.0.1'])
  })

  test('hands its error handler the error, and the inner one as its cause', async () => {
    const seen: unknown[] = []
    running = await listen(
      build((error: unknown, _request, response, _next) => {
        seen.push(error)
        response.end('page')
      }),
    )
    streamer.on('error', () => undefined)
    await request(running.url).get('/events?id=nobody')
    await request(running.url).get('/login').set('authorization', 'Bearer x')
    expect(seen[0]).toMatchObject({ code: 'ERR_UNIFROST_NO_CLIENT', status: 401 })
    expect(seen[1]).toMatchObject({
      code: 'ERR_UNIFROST_CALLBACK',
      statusCode: 500,
      cause: { message: 'verify failed: the database is at 10.0.0.1' },
    })
  })

  test('without next, autoClient and authenticate say that they need it', async () => {
    const errors: unknown[] = []
    streamer.on('error', ({ cause }) => void errors.push(cause))
    const auto = forExpress.autoClient(streamer, { topics: ['a'] })
    running = await listen(auto)
    const answer = await request(running.url).get('/')
    expect(answer.status).toBe(500)
    expect(answer.body).toMatchObject({ error: { code: 'ERR_UNIFROST_OPTIONS' } })
    expect(String(errors[0])).toContain('next')
  })
})

test('middleware that is given no request of Node’s says so at once', () => {
  const middleware = forExpress.clients(streamer)
  expect(() => middleware({} as never, {} as never)).toThrow(core.OptionsError)
  expect(() => middleware({ headers: {} } as never, {} as never)).toThrow('response')
})
