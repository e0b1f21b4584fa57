import 'reflect-metadata'
import { getRequestListener } from '@hono/node-server'
import type { ArgumentsHost, ExceptionFilter, HttpException } from '@nestjs/common'
import { Catch, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import fastify from 'fastify'
import { Hono } from 'hono'
import { unifrostFastify } from 'unifrost/fastify'
import * as forFetch from 'unifrost/fetch'
import type { UnifrostModuleOptions } from 'unifrost/nest'
import { UnifrostModule } from 'unifrost/nest'
import type { FetchHandler } from 'unifrost/fetch'
import type { App, AppOptions } from './apps.js'

const verify = (token: string) => (token.startsWith('user-') ? { sub: token } : undefined)
const authentication = {
  verify,
  from: ['authorization' as const, { cookie: 'token' }, { query: 'token' }],
}

type Listener = ReturnType<App['build']>

/** The handlers of a fetch application, by path. */
function fetchHandlers(options: AppOptions): Record<string, FetchHandler> {
  const { streamer, auto, allow, maxBodyBytes = 1_000 } = options
  const authorize = allow && { authorize: allow }
  const guard = options.authenticated
    ? forFetch.authenticate(authentication)
    : (next: FetchHandler) => next
  let events: FetchHandler = forFetch.handler(streamer)
  if (auto) {
    const { id, ...rest } = auto
    events = forFetch.autoClient(streamer, { ...rest, ...authorize, ...(id && { id: () => id }) })(
      events,
    )
  }
  const page = options.ownErrorPage
    ? forFetch.errorPage((error) => {
        throw error
      })
    : (next: FetchHandler) => next
  return {
    '/events': page(guard(events)),
    '/clients': page(guard(forFetch.clients(streamer))),
    '/subscriptions': page(guard(forFetch.subscriptions(streamer, { ...authorize, maxBodyBytes }))),
  }
}

const pageOf = (error: unknown) => ({ page: (error as { code?: string }).code })

function plainApp(options: AppOptions): Listener {
  const handlers = fetchHandlers(options)
  return getRequestListener(async (request) => {
    const handler = handlers[new URL(request.url).pathname]
    if (handler === undefined) return new Response(null, { status: 404 })
    try {
      return await handler(request)
    } catch (error) {
      return Response.json(pageOf(error), { status: 499 })
    }
  })
}

function honoApp(options: AppOptions): Listener {
  const app = new Hono()
  for (const [path, handler] of Object.entries(fetchHandlers(options))) {
    app.all(path, (c) => handler(c.req.raw))
  }
  app.onError((error, c) => c.json(pageOf(error), 499 as never))
  return getRequestListener(app.fetch)
}

/** What all routes that are mounted at once are made of. */
function mountOptions(options: AppOptions) {
  const { streamer, auto, allow, maxBodyBytes = 1_000 } = options
  const { id, ...rest } = auto ?? {}
  return {
    streamer,
    maxBodyBytes,
    ...(allow && { authorize: allow }),
    ...(options.authenticated && { authenticate: authentication }),
    ...(auto && { autoClient: { ...rest, ...(id && { id: () => id }) } }),
  }
}

function fastifyApp(options: AppOptions): Listener {
  const app = fastify()
  if (options.ownErrorPage) {
    app.setErrorHandler((error, _request, reply) => reply.code(499).send(pageOf(error)))
  }
  app.register(unifrostFastify, mountOptions(options))
  return async (request: never, response: never) => {
    await app.ready()
    app.routing(request, response)
  }
}

class OwnPage implements ExceptionFilter {
  catch(error: HttpException, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<{
      status(code: number): { send(body: unknown): void }
    }>()
    response.status(499).send(pageOf(error.cause))
  }
}
Catch()(OwnPage)

function nestApp(platform: () => ExpressAdapter | FastifyAdapter) {
  return (options: AppOptions): Listener => {
    class AppModule {}
    const given: UnifrostModuleOptions = mountOptions(options)
    Module({ imports: [UnifrostModule.forRoot(given)] })(AppModule)
    const adapter = platform()
    const made = NestFactory.create(AppModule, adapter, { logger: false }).then(
      async (app): Promise<Listener> => {
        if (options.ownErrorPage) app.useGlobalFilters(new OwnPage())
        await app.init()
        if (adapter instanceof FastifyAdapter) {
          const instance = adapter.getInstance()
          await instance.ready()
          return (request, response) => instance.routing(request, response)
        }
        return adapter.getInstance<Listener>()
      },
    )
    return async (request: never, response: never) => {
      const listener = await made
      listener(request, response)
    }
  }
}

/** The ways to mount a Streamer beside Express and Koa. */
export const mounts: App[] = [
  { name: 'fetch', build: plainApp, leavesConnections: true },
  { name: 'hono', build: honoApp, leavesConnections: true },
  { name: 'fastify', build: fastifyApp },
  { name: 'nest on express (with its body parser)', build: nestApp(() => new ExpressAdapter()) },
  { name: 'nest on fastify (with its body parser)', build: nestApp(() => new FastifyAdapter()) },
]
