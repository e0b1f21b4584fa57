import type { CanActivate, Type } from '@nestjs/common'
import { All, Controller, HttpException, Inject, Req, Res, UseGuards } from '@nestjs/common'
import type { Request, Response } from 'express'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { doorOf, passingRefusal, publicError, sendPassingRefusal } from '../src/for-middleware.js'
import { UnifrostError } from '../src/index.js'
import { placeOfUser } from './elsewhere.js'
import { fastifyContext, sendReply, takeReply } from './fastify-reply.js'
import type { MountPaths, Mount } from './mount.js'
import { pathsOf } from './mount.js'
import type { Answer, RequestContext } from './request-context.js'
import { ANSWER_HEADERS } from './send-answer.js'

/** The platform's request: Express's or Fastify's. */
export type NestRequest = Request | FastifyRequest
type NestResponse = Response | FastifyReply

/** What the routes and the module are given by NestJS. */
export const MOUNT: unique symbol = Symbol('unifrost.mount')

/** The names of the routes' methods. */
const HANDLERS = ['events', 'clients', 'subscriptions'] as const

/** A controller with these paths and guards. Both are known only when the module is made. */
export function controllerFor(
  given: MountPaths | undefined,
  guards: readonly (Type<CanActivate> | CanActivate)[],
): Type<unknown> {
  class UnifrostController {
    constructor(private readonly mount: Mount<NestRequest>) {}

    events(request: NestRequest, response: NestResponse): Promise<void> {
      return answering(this.mount, request, response, async (context) => {
        const raw = 'hijack' in response ? response.raw : response
        return this.mount.stream(context, raw, () => {
          if ('hijack' in response) takeReply(response)
        })
      })
    }

    clients(request: NestRequest, response: NestResponse): Promise<void> {
      return answering(this.mount, request, response, (context) => this.mount.clients(context))
    }

    subscriptions(request: NestRequest, response: NestResponse): Promise<void> {
      return answering(this.mount, request, response, (context) =>
        this.mount.subscriptions(context),
      )
    }
  }

  const paths = pathsOf(given)
  for (const name of HANDLERS) {
    const path = paths[name]
    if (path === false) continue
    const { prototype } = UnifrostController
    All(path)(prototype, name, Object.getOwnPropertyDescriptor(prototype, name)!)
    Req()(prototype, name, 0)
    Res()(prototype, name, 1)
  }
  Inject(MOUNT)(UnifrostController, undefined, 0)
  UseGuards(...guards)(UnifrostController)
  Controller()(UnifrostController)
  return UnifrostController
}

async function answering(
  mount: Mount<NestRequest>,
  request: NestRequest,
  response: NestResponse,
  handle: (context: RequestContext<NestRequest>) => Promise<Answer | undefined>,
): Promise<void> {
  try {
    if (mount.authenticates) {
      Object.assign(request, { auth: await mount.identify(contextOf(request)) })
    }
    const answer = await handle(contextOf(request))
    if (answer !== undefined) send(response, answer)
  } catch (error) {
    if (!isToldInStream(mount, request, response, error)) throw toHttp(mount, response, error)
  }
}

/** Tells an EventSource in a stream what passes by itself. @returns whether it has. */
function isToldInStream(
  mount: Mount<NestRequest>,
  request: NestRequest,
  response: NestResponse,
  error: unknown,
): boolean {
  const door = doorOf(mount.streamer)
  if (!('raw' in request && 'hijack' in response)) {
    return sendPassingRefusal(door, request as Request, response as Response, error)
  }
  if (passingRefusal(door, request.raw, error) === undefined) return false
  takeReply(response)
  return sendPassingRefusal(door, request.raw, response.raw, error)
}

/** The error as NestJS's own, for the application's exception filters. */
function toHttp(mount: Mount<NestRequest>, response: NestResponse, error: unknown): HttpException {
  const { status, headers, body } = publicError(error)
  // NestJS logs nothing of an HttpException, also not of a 500.
  if (!(error instanceof UnifrostError && error.expose)) doorOf(mount.streamer).failed(error)
  const isSent = 'hijack' in response ? response.sent : response.headersSent
  if (!isSent) setHeaders(response, headers)
  return new HttpException(body, status, { cause: error })
}

function setHeaders(response: NestResponse, headers: Record<string, string>): void {
  const all = { ...ANSWER_HEADERS, ...headers }
  if ('hijack' in response) response.headers(all)
  else response.set(all)
}

function send(response: NestResponse, answer: Answer): void {
  if ('hijack' in response) {
    sendReply(response, answer)
    return
  }
  const { status, headers = {}, body } = answer
  setHeaders(response, headers)
  response.status(status)
  if (body === undefined) response.end()
  else response.json(body)
}

/** Where users stand who are not at `req.auth` or `req.user`. */
const PLACES = ['session.user', 'session.userId', 'session.passport.user', 'currentUser', 'userId']

function contextOf(request: NestRequest): RequestContext<NestRequest> {
  if ('raw' in request) return fastifyContext(request, request.body)
  const { auth, user } = request as Request & { auth?: unknown; user?: unknown }
  return {
    request,
    frameworkRequest: request,
    principal: auth ?? user,
    get parsedBody(): unknown {
      return request.body as unknown
    },
    address: request.ip,
    host: request.host || undefined,
    elsewhere: () => placeOfUser(request, 'request', PLACES),
  }
}
