import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { bodyParser } from '@koa/bodyparser'
import Router from '@koa/router'
import compression from 'compression'
import express from 'express'
import express4 from 'express4'
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
  build(options: AppOptions): (request: never, response: never) => void
}

type ExpressFactory = () => express.Express

const verify = (token: string) => (token.startsWith('user-') ? { sub: token } : undefined)

function expressApp(factory: ExpressFactory, before: express.RequestHandler[] = []) {
  return (options: AppOptions) => {
    const { streamer, auto, allow } = options
    const { authenticate, autoClient, clients, subscriptions, unifrostExpress } = forExpress
    const app = factory()
    for (const middleware of before) app.use(middleware)
    const authorize = allow && { authorize: allow }
    if (options.authenticated) {
      app.use(
        authenticate({ verify, from: ['authorization', { cookie: 'token' }, { query: 'token' }] }),
      )
    }
    if (auto) {
      const { id, ...rest } = auto
      app.use(
        '/events',
        autoClient(streamer, { ...rest, ...authorize, ...(id && { id: () => id }) }),
      )
    }
    app.use('/events', unifrostExpress(streamer))
    app.use('/clients', clients(streamer))
    app.use(
      '/subscriptions',
      subscriptions(streamer, { ...authorize, maxBodyBytes: options.maxBodyBytes ?? 1_000 }),
    )
    if (options.ownErrorPage) {
      app.use(((error: { code?: string }, _request, response, _next) => {
        response.status(499).json({ page: error.code })
      }) as express.ErrorRequestHandler)
    }
    return app as (request: never, response: never) => void
  }
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
