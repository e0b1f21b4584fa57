import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'
import type { OptionTable } from '../src/for-middleware.js'
import { isThenable, publicError } from '../src/for-middleware.js'
import type { StreamMethod } from '../src/index.js'
import { MethodError, UnifrostError } from '../src/index.js'
import { fastifyContext, refuseInStream, sendReply, takeReply } from './fastify-reply.js'
import { CLIENTS_BODY, ERROR, SUBSCRIPTIONS_BODY } from './fastify-schemas.js'
import type { MountOptions } from './mount.js'
import { Mount, pathsOf } from './mount.js'

export type { AuthenticateOptions, TokenSource } from './authenticate.js'
export type { AutoClientOptions } from './auto-client.js'
export type { Authorize, PrincipalOptions, StreamOptions } from './request-context.js'
export type { CrossSiteOptions } from '../src/for-middleware.js'
export type { JwtOptions } from './jwt.js'
export { jwt } from './jwt.js'
export type { MountOptions, MountPaths } from './mount.js'
export type { Grant } from './patterns.js'
export { patterns } from './patterns.js'
export type { HeaderTarget } from './position.js'
export { setPosition } from './position.js'

/** Options of the plugin. Those of Fastify's own (`prefix`) may stand beside them. */
export interface UnifrostFastifyOptions<Principal = unknown> extends MountOptions<
  FastifyRequest,
  Principal
> {
  /** Fastify's: what all paths begin with. Default: nothing. */
  prefix?: string
}

/** What Fastify takes beside the plugin's own options. */
const isObject = (value: unknown) =>
  typeof value === 'object' && value !== null && !isThenable(value)
const isText = (value: unknown) => typeof value === 'string'
const FASTIFYS: OptionTable = {
  prefix: [isText, 'what all paths begin with'],
  logLevel: [isText, 'a level of the log'],
  logSerializers: [isObject, 'serializers by name'],
}

/**
 * A Fastify plugin: `GET /events` streams a client's events, `POST` and `DELETE /clients` make and
 * remove clients, and `POST /subscriptions` changes a client's topics.
 *
 * It is encapsulated: its hooks and its body parser are for its own routes only. Its streams end
 * before the server closes (`preClose`), and its Streamer closes with them.
 *
 * ```ts
 * await app.register(unifrostFastify, { streamer, authorize: (user, topic) => mayRead(user, topic) })
 * ```
 *
 * A user of your own type: `app.register(unifrostFastify<User>, …)`.
 *
 * @throws OptionsError
 */
export function unifrostFastify<Principal>(
  app: FastifyInstance,
  options: UnifrostFastifyOptions<Principal>,
): Promise<void>
// `register` takes the types of the last signature, and can't infer any from a generic one.
export function unifrostFastify(
  app: FastifyInstance,
  options: UnifrostFastifyOptions,
): Promise<void>
export async function unifrostFastify(
  app: FastifyInstance,
  options: UnifrostFastifyOptions,
): Promise<void> {
  const mount = new Mount('unifrostFastify', options, FASTIFYS)
  // The body is read with the checks, and the errors, that all frameworks share.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  if (mount.authenticates) {
    if (!app.hasRequestDecorator('auth')) app.decorateRequest('auth', null)
    app.addHook('onRequest', async (request, reply) => {
      try {
        Object.assign(request, { auth: await mount.identify(fastifyContext(request, undefined)) })
      } catch (error) {
        refuseInStream(mount, request, reply, error)
        return reply
      }
    })
  }
  app.addHook('preClose', () => mount.close())

  const { events, clients, subscriptions } = pathsOf(options.paths)
  if (events !== false) {
    const methods = (options.methods ?? ['GET']).flatMap(withHead)
    routes(app, events, methods, undefined, async (request, reply) => {
      const context = fastifyContext(request, undefined)
      try {
        const answer = await mount.stream(context, reply.raw, () => takeReply(reply))
        if (answer !== undefined) sendReply(reply, answer)
      } catch (error) {
        refuseInStream(mount, request, reply, error)
      }
      return reply
    })
  }
  if (clients !== false) {
    routes(app, clients, ['POST', 'DELETE'], CLIENTS_BODY, async (request, reply) => {
      sendReply(reply, await mount.clients(fastifyContext(request, undefined)))
      return reply
    })
  }
  if (subscriptions !== false) {
    routes(app, subscriptions, ['POST'], SUBSCRIPTIONS_BODY, async (request, reply) => {
      sendReply(reply, await mount.subscriptions(fastifyContext(request, undefined)))
      return reply
    })
  }
}

/** `HEAD` goes with `GET`. */
function withHead(method: StreamMethod): HTTPMethods[] {
  return method === 'GET' ? ['GET', 'HEAD'] : [method]
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>

/** What all routes have: our errors as JSON of ours, unless the application answers them. */
const ROUTE = {
  exposeHeadRoute: false,
  serializerCompiler: () => asText,
  // The schema says what is expected. It is checked where all frameworks' requests are.
  validatorCompiler: () => (value: unknown) => ({ value }),
}

/** One path: the methods that it has, and 405 for all others. */
function routes(
  app: FastifyInstance,
  url: string,
  methods: HTTPMethods[],
  body: object | undefined,
  handler: Handler,
): void {
  const response = { '4xx': ERROR, '5xx': ERROR }
  const withBody = methods.filter((method) => method === 'POST')
  const without = methods.filter((method) => method !== 'POST')
  if (withBody.length > 0) {
    const schema = { ...(body && { body }), response }
    app.route({ ...ROUTE, method: withBody, url, schema, handler })
  }
  if (without.length > 0) {
    app.route({ ...ROUTE, method: without, url, schema: { response }, handler })
  }
  app.route({
    ...ROUTE,
    method: app.supportedMethods.filter((method) => !methods.includes(method)),
    url,
    schema: { hide: true, response },
    handler: ({ method }) => {
      throw new MethodError(method, methods)
    },
  })
}

/** What Fastify sends for an error that nobody answers, or what the application sends. */
function asText(data: unknown): string {
  if (!(data instanceof Error)) return JSON.stringify(data)
  const { statusCode, code, message } = data as Error & { statusCode?: number; code?: string }
  // An error of Fastify's own, such as a broken address.
  const isFastifys = !(data instanceof UnifrostError) && (statusCode ?? 500) < 500
  return JSON.stringify(isFastifys ? { error: { code, message } } : publicError(data).body)
}

export default unifrostFastify
