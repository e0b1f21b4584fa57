import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Streamer } from '../src/index.js'
import { doorOf, passingRefusal, sendPassingRefusal } from '../src/for-middleware.js'
import { placeOfUser } from './elsewhere.js'
import type { Answer, RequestContext } from './request-context.js'
import { ANSWER_HEADERS } from './send-answer.js'

/** Where users stand who are not at `request.auth` or `request.user`. */
const PLACES = ['session.user', 'session.userId', 'currentUser', 'userId']

export function fastifyContext(
  request: FastifyRequest,
  parsedBody: unknown,
): RequestContext<FastifyRequest> {
  const { auth, user } = request as FastifyRequest & { auth?: unknown; user?: unknown }
  return {
    request: request.raw,
    frameworkRequest: request,
    principal: auth ?? user,
    parsedBody,
    address: request.ip,
    host: request.host || undefined,
    elsewhere: () => placeOfUser(request, 'request', PLACES),
  }
}

/** Takes a reply out of Fastify's hands, with the headers that plugins (CORS) have set. */
export function takeReply(reply: FastifyReply): void {
  reply.hijack()
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) reply.raw.setHeader(name, value)
  }
}

/**
 * Tells an EventSource in a stream what passes by itself.
 *
 * @throws the error, where it does not pass or somebody else asks
 */
export function refuseInStream(
  mount: { readonly streamer: Streamer },
  request: FastifyRequest,
  reply: FastifyReply,
  error: unknown,
): void {
  const door = doorOf(mount.streamer)
  if (passingRefusal(door, request.raw, error) === undefined) throw error
  takeReply(reply)
  sendPassingRefusal(door, request.raw, reply.raw, error)
}

export function sendReply(reply: FastifyReply, { status, headers = {}, body }: Answer): void {
  // Without a body, `send()` would say that it has a type.
  reply.code(status).headers({ ...ANSWER_HEADERS, ...headers })
  if (body === undefined) reply.send()
  else reply.send(body)
}
