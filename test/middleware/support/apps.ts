import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import middie from '@fastify/middie'
import { bodyParser } from '@koa/bodyparser'
import Router from '@koa/router'
import compression from 'compression'
import connect from 'connect'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import Koa from 'koa'
import Koa2 from 'koa2'
import compress from 'koa-compress'
import type { Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'

/** What an application under test is made of; each framework builds the same from it. */
export interface AppOptions {
  streamer: Streamer
  /** Puts `authenticate` in front of everything: the token is the principal. */
  authenticated?: boolean
  /** Puts `autoClient` in front of the stream. */
  auto?: { topics?: string[]; id?: string; redirect?: boolean }
  /** Which topics `authorize` allows; without, there is no `authorize`. */
  allow?: (principal: unknown, topic: string) => boolean
  /** Default: 1,000. */
  maxBodyBytes?: number
  /** The application's own error handler, which answers 499 with the error's code. */
  ownErrorPage?: boolean
}

export interface App {
  readonly name: string
  /** Whether the last answer to an error is a router's own, which is not JSON of our shape. */
  readonly answersErrors?: boolean
  /** Whether connections are its server's matter: under fetch, nobody sees them. */
  readonly leavesConnections?: boolean
  build(options: AppOptions): (request: never, response: never) => void
}

type ExpressFactory = () => express.Express

const verify = (token: string) => (token.startsWith('user-') ? { sub: token } : undefined)

/** What takes middleware of the form `(request, response, next)`. */
interface PlainRouter {
  use(path: string, middleware: forExpress.Handler): void
  use(middleware: forExpress.Handler): void
}

/** Puts the middleware of `unifrost/express` into a router. */
function fill(app: PlainRouter, options: AppOptions): void {
  const { streamer, auto, allow, authenticated, maxBodyBytes = 1_000 } = options
  const { authenticate, autoClient, clients, subscriptions, unifrostExpress } = forExpress
  const authorize = allow && { authorize: allow }
  if (authenticated) {
    app.use(
      authenticate({ verify, from: ['authorization', { cookie: 'token' }, { query: 'token' }] }),
    )
  }
  if (auto) {
    const { id, ...rest } = auto
    app.use('/events', autoClient(streamer, { ...rest, ...authorize, ...(id && { id: () => id }) }))
  }
  app.use('/events', unifrostExpress(streamer))
  app.use('/clients', clients(streamer))
  app.use('/subscriptions', subscriptions(streamer, { ...authorize, maxBodyBytes }))
}

/** The application's own answer to an error. */
function ownPage(error: { code?: string }, response: ServerResponse): void {
  response.statusCode = 499
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ page: error.code }))
}

function expressApp(factory: ExpressFactory, before: express.RequestHandler[] = []) {
  return (options: AppOptions) => {
    const app = factory()
    for (const middleware of before) app.use(middleware)
    fill(app as PlainRouter, options)
    if (options.ownErrorPage) {
      app.use(((error: { code?: string }, _request, response, _next) => {
        ownPage(error, response)
      }) as express.ErrorRequestHandler)
    }
    return app as (request: never, response: never) => void
  }
}

function connectApp(options: AppOptions): (request: never, response: never) => void {
  const app = connect()
  fill(app, options)
  if (options.ownErrorPage) {
    app.use(((error, _request, response, _next) => {
      ownPage(error as { code?: string }, response)
    }) as connect.ErrorHandleFunction)
  }
  return app
}

function middieApp(options: AppOptions): (request: never, response: never) => void {
  const app = Fastify()
  void app.register(middie)
  void app.after(() => fill(app, options))
  if (options.ownErrorPage) {
    app.setErrorHandler((error, _request, reply) => {
      void reply.code(499).send({ page: (error as { code?: string }).code })
    })
  }
  return (request, response) => {
    void app.ready().then(() => app.routing(request, response))
  }
}

/** A listener of `node:http` that calls the middleware one after another, with a `next` of its own. */
function nodeApp(options: AppOptions): (request: never, response: never) => void {
  const layers: { path: string; middleware: forExpress.Handler }[] = []
  fill(
    {
      use(...given: [string, forExpress.Handler] | [forExpress.Handler]) {
        const [path, middleware] = given.length === 1 ? (['/', given[0]] as const) : given
        layers.push({ path, middleware })
      },
    },
    options,
  )
  return (request: IncomingMessage, response: ServerResponse) => {
    const fitting = layers.filter(({ path }) => request.url!.startsWith(path))
    const run = (index: number) => {
      const { middleware } = fitting[index]!
      const isLast = index === fitting.length - 1
      // Without `next`, a middleware answers its errors itself.
      if (isLast && !options.ownErrorPage) middleware(request, response)
      else {
        middleware(request, response, (error) => {
          if (error === undefined) run(index + 1)
          else if (options.ownErrorPage) ownPage(error as { code?: string }, response)
          else
            response
              .writeHead((error as Failed).status, (error as Failed).headers)
              .end(`${error as Failed}`)
        })
      }
    }
    run(0)
  }
}

interface Failed extends Error {
  status: number
  headers: Record<string, string>
}

function koaApp(Factory: new () => Koa, before: Koa.Middleware[] = []) {
  return (options: AppOptions) => {
    const { streamer, auto, allow } = options
    const { authenticate, autoClient, clients, subscriptions, unifrostKoa } = forKoa
    const app = new Factory()
    if (options.ownErrorPage) {
      app.use(async (ctx, next) => {
        try {
          await next()
        } catch (error) {
          ctx.status = 499
          ctx.body = { page: (error as { code?: string }).code }
        }
      })
    }
    for (const middleware of before) app.use(middleware)
    const router = new Router()
    const authorize = allow && { authorize: allow }
    if (options.authenticated) {
      app.use(
        authenticate({ verify, from: ['authorization', { cookie: 'token' }, { query: 'token' }] }),
      )
    }
    if (auto) {
      const { id, ...rest } = auto
      router.all(
        '/events',
        autoClient(streamer, { ...rest, ...authorize, ...(id && { id: () => id }) }),
      )
    }
    router.all('/events', unifrostKoa(streamer))
    router.all('/clients', clients(streamer))
    router.all(
      '/subscriptions',
      subscriptions(streamer, { ...authorize, maxBodyBytes: options.maxBodyBytes ?? 1_000 }),
    )
    app.use(router.routes())
    app.silent = true
    return app.callback() as (request: never, response: never) => void
  }
}

/** Every way in which the middleware is known to be used. */
export const apps: App[] = [
  { name: 'express 5', build: expressApp(express) },
  { name: 'express 4', build: expressApp(express4) },
  {
    name: 'express 5 behind compression',
    build: expressApp(express, [compression({ threshold: 0 })]),
  },
  { name: 'express 5 behind a body parser', build: expressApp(express, [express.json()]) },
  { name: 'connect', build: connectApp, answersErrors: true },
  { name: 'fastify with middie', build: middieApp, answersErrors: true },
  { name: 'node:http', build: nodeApp, answersErrors: true },
  { name: 'koa 3', build: koaApp(Koa) },
  { name: 'koa 2', build: koaApp(Koa2) },
  { name: 'koa 3 behind koa-compress', build: koaApp(Koa, [compress({ threshold: 0 })]) },
  {
    name: 'koa 3 behind a body parser',
    build: koaApp(Koa, [bodyParser({ parsedMethods: ['POST', 'PUT', 'PATCH', 'DELETE'] })]),
  },
]

/** Starts a server on a free port; returns its address and how to stop it. */
export async function listen(
  handler: (request: never, response: never) => void,
): Promise<{ url: string; server: Server; close(): Promise<void> }> {
  const server = createServer(handler as never)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    server,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
