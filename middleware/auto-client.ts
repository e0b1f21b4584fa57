import type { AnyResponse, Client, Streamer } from '../src/index.js'
import {
  CallbackError,
  ClientExistsError,
  ForbiddenTopicError,
  RequestGoneError,
} from '../src/index.js'
import type { CrossSiteOptions, Door } from '../src/for-middleware.js'
import {
  callback,
  checkOptions,
  checkRequest,
  checkSite,
  doorOf,
  flag,
  given,
  lastEventIdOf,
  originsCheck,
  queryOf,
  takeSeat,
} from '../src/for-middleware.js'
import { areAllowed } from './allowed.js'
import type { Authorize, RequestContext, PrincipalOptions } from './request-context.js'
import {
  assignClient,
  logInOf,
  ownerOf,
  PRINCIPAL_OPTIONS,
  principalOf,
} from './request-context.js'
import { checkStreamer } from './streamer-argument.js'
import { topicsInAddress } from './topic-parameter.js'

/** Options of `autoClient`. */
export interface AutoClientOptions<Context, Principal = unknown>
  extends PrincipalOptions<Context, Principal>, CrossSiteOptions {
  /**
   * The topics of each new client, chosen by the server. Default: those that the request names, as
   * in `?topic=a&topic=b`; `authorize` must allow each.
   */
  topics?: string[] | ((request: Context) => string[] | Promise<string[]>)
  /**
   * Whether the user may have a topic that the request names. Only `true` allows it. Default: no.
   */
  authorize?: Authorize<Context, Principal>
  /**
   * The id of the request's client, such as a session's. The client is found again by this id, for
   * `clientTTL` after it has disconnected. Default: a random id, and the client is removed when it
   * disconnects, since the next request names all that is needed to make it anew.
   */
  id?: (request: Context) => string | Promise<string>
  /**
   * Whether to answer 307 to the same address with `?id=…`, instead of opening the stream at once.
   * The page then finds the id in the stream's address and can use it elsewhere. Default: false.
   */
  redirect?: boolean
}

/** Checks what the middleware is made of. @throws OptionsError */
export function checkAutoClient<C, P>(streamer: Streamer, options: AutoClientOptions<C, P>): void {
  checkStreamer('autoClient', streamer)
  checkOptions('autoClient', options, {
    ...PRINCIPAL_OPTIONS,
    topics: given([
      (value) => typeof value === 'function' || isList(value),
      'a list of topics, or a function from a request to one',
    ]),
    authorize: given(callback('a function from a user and a topic to true or false')),
    id: given(callback('a function from a request to the id of its client')),
    redirect: flag,
    origins: originsCheck,
  })
  if (Array.isArray(options.topics)) options.topics.forEach((it) => streamer.checkTopicName(it))
}

function isList(value: unknown): boolean {
  return Array.isArray(value) && value.every((it) => typeof it === 'string')
}

/**
 * Makes a client for a request that names none.
 *
 * @param response If it closes before the client has had a stream, the client is removed.
 * @returns the address to redirect to, or undefined to go on.
 * @throws ForbiddenTopicError, RevokedError, and the errors of `newClient` and `subscribe`.
 */
export async function assureClient<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: AutoClientOptions<Context, Principal>,
  response: AnyResponse,
): Promise<string | undefined> {
  const query = queryOf(context.request)
  if (query.get('id')) return undefined
  checkRequest(context.request)
  checkSite(context.request, { origins: options.origins, host: context.host })
  const client = await findOrMake(streamer, context, options, response)
  if (!options.redirect || isHead(context)) {
    if (context.request.aborted || response.destroyed || response.closed) {
      dismiss(streamer, client.id)
      throw new RequestGoneError()
    }
    assignClient(context.request, client)
    // A middleware between this one and the stream may answer the request itself.
    response.once('close', () => dismiss(streamer, client.id))
    return undefined
  }
  query.set('id', client.id)
  // Relative, since a proxy or a router may have cut off a part of the browser's path.
  return `?${query.toString()}`
}

/** A request that gets no stream holds nothing: its client has no topics, and goes with the answer. */
function isHead({ request }: RequestContext<unknown>): boolean {
  return request.method === 'HEAD'
}

function dismiss(streamer: Streamer, id: string): void {
  const client = streamer.getClient(id)
  if (client?.transient && !client.connected) doorOf(streamer).abandon(client)
}

async function findOrMake<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: AutoClientOptions<Context, Principal>,
  response: AnyResponse,
): Promise<Pick<Client, 'id'>> {
  const passing = isHead(context)
  const id =
    options.id === undefined || passing
      ? undefined
      : await called('id', () => options.id!(context.frameworkRequest))
  const existing = id === undefined ? undefined : await streamer.findClient(id)
  if (existing !== undefined) return existing
  const owner = ownerOf(context, options)
  const { request, address } = context
  // Taken first, so that a refused request costs almost nothing and never reaches the broker.
  doorOf(streamer).checkRevoked({ id, owner, ...logInOf(context, options) })
  takeSeat(doorOf(streamer), { request, response, owner, address })
  const topics = await topicsFor(streamer, context, options)
  const transient = passing || (id === undefined && !options.redirect)
  const settings = { owner: owner ?? (false as const), address, transient }
  let client
  try {
    client =
      id === undefined
        ? await streamer.newClient(settings)
        : await streamer.newCustomClient(id, settings)
  } catch (error) {
    // Another request has just made it, here or on another server.
    if (id !== undefined && error instanceof ClientExistsError) return { id }
    throw error
  }
  if (passing) return client
  try {
    const after = lastEventIdOf(request)
    await Promise.all(topics.map((topic) => streamer.subscribe(client.id, topic, { after })))
  } catch (error) {
    await client.close()
    throw error
  }
  return client
}

async function topicsFor<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: AutoClientOptions<Context, Principal>,
): Promise<string[]> {
  const { topics } = options
  const door: Door = doorOf(streamer)
  if (topics !== undefined) {
    const chosen =
      typeof topics === 'function'
        ? await called('topics', () => topics(context.frameworkRequest))
        : topics
    door.checkTopics(chosen)
    return chosen
  }
  const named = topicsInAddress(context.request)
  door.checkTopics(named)
  const principal = principalOf(context, options)
  const allowed = await areAllowed(streamer, options.authorize, context, principal, named)
  const forbidden = named.filter((_, index) => !allowed[index])
  if (forbidden.length > 0) throw new ForbiddenTopicError(forbidden)
  return named
}

async function called<T>(name: string, call: () => T | Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw new CallbackError(name, error)
  }
}
