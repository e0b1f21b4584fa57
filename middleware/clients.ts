import type { Streamer } from '../src/index.js'
import {
  BodyError,
  MethodError,
  NoClientError,
  NoIdError,
  NotOwnerError,
  OptionsError,
} from '../src/index.js'
import type { CrossSiteOptions } from '../src/for-middleware.js'
import {
  checkOptions,
  checkSite,
  count,
  doorOf,
  originsCheck,
  queryOf,
} from '../src/for-middleware.js'
import { isBodyLost, jsonBody, MAX_BODY_BYTES } from './body.js'
import type { GivenTopic } from './given-topics.js'
import type { LabelOptions } from './labels.js'
import { checkTopicList, firstTopics, subscribeAll, TOPICS_CHECK } from './given-topics.js'
import { LABEL_OPTIONS, labelsOf } from './labels.js'
import type { Answer, RequestContext, PrincipalOptions } from './request-context.js'
import { logInOf, ownerOf, PRINCIPAL_OPTIONS } from './request-context.js'
import type { SnapshotOptions } from './snapshots.js'
import { SNAPSHOT_OPTIONS, snapshotsFor } from './snapshots.js'
import { checkStreamer } from './streamer-argument.js'

/** Options of `clients`. */
export interface ClientsOptions<Context, Principal = unknown>
  extends
    PrincipalOptions<Context, Principal>,
    LabelOptions<Context, Principal>,
    SnapshotOptions<Context, Principal>,
    CrossSiteOptions {
  /**
   * The topics that a new client has at once, chosen by the server. The Streamer's own `authorize` must
   * allow each. A function may give no wildcards of the broker's; a list is your own. It may give
   * `{ topic, after }` for a topic that begins after a position which the request names; one that does
   * not count refuses the request with `PositionError`. Default: none; `subscriptions` adds them.
   */
  topics?:
    | readonly string[]
    | ((request: Context) => readonly GivenTopic[] | Promise<readonly GivenTopic[]>)
  /** The largest body that is read, in bytes. A larger one gets 413. Default: 65,536. */
  maxBodyBytes?: number
}

/** Checks what the middleware is made of. @throws OptionsError */
export function checkClients<C, P>(streamer: Streamer, options: ClientsOptions<C, P>): void {
  checkStreamer('clients', streamer)
  checkOptions('clients', options, {
    ...PRINCIPAL_OPTIONS,
    ...LABEL_OPTIONS,
    ...SNAPSHOT_OPTIONS,
    origins: originsCheck,
    topics: TOPICS_CHECK,
    maxBodyBytes: count(0),
  })
  checkTopicList(streamer, options)
}

/**
 * `POST` makes a client, whose owner is the request's user. `DELETE` removes the client that `?id=`
 * or `{"client_id"}` names: 204, or 202 where a server has not answered yet.
 *
 * @throws MethodError, NoIdError, RevokedError, NoClientError, NotOwnerError, PositionError, and the errors
 *   of `jsonBody`
 */
export async function answerClients<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: ClientsOptions<Context, Principal>,
): Promise<Answer> {
  const { request } = context
  const method = request.method ?? 'GET'
  if (method !== 'POST' && method !== 'DELETE') throw new MethodError(method, ['POST', 'DELETE'])
  checkSite(request, { origins: options.origins, host: context.host })
  const owner = ownerOf(context, options)
  const body = await bodyOf(context, options)
  if (method === 'POST') {
    const labels = labelsOf(context, options)
    doorOf(streamer).checkRevoked({ owner, labels, ...logInOf(context, options) })
    const topics = await firstTopics(streamer, context, options)
    const client = await streamer.newClient({
      ...{ owner: owner ?? false, address: context.address },
      ...(labels && { labels }),
    })
    if (options.principal === undefined && options.owner !== false) unnamed.add(client)
    await subscribeAll(streamer, client, topics, snapshotsFor(streamer, context, options))
    return {
      status: 201,
      body: {
        ...{ client_id: client.id, client_ttl_millis: streamer.clientTTL },
        ...(options.topics !== undefined && { topics: [...topics.keys()] }),
      },
    }
  }
  const id = idIn(queryOf(request), body)
  const client = await streamer.findClient(id)
  if (client === undefined) throw new NoClientError()
  if (client.owner !== undefined && client.owner !== owner) throw new NotOwnerError()
  const { pending } = await streamer.removeClient(id)
  // Accepted: a server has not answered yet, and ends the client when it does.
  return { status: pending.length === 0 ? 204 : 202 }
}

/** The body, which only a `DELETE` without `?id=` needs. */
async function bodyOf<Context, Principal>(
  { request, parsedBody }: RequestContext<Context>,
  { maxBodyBytes = MAX_BODY_BYTES }: ClientsOptions<Context, Principal>,
): Promise<unknown> {
  const isNeeded = request.method === 'DELETE' && !queryOf(request).has('id')
  if (!isNeeded && isBodyLost(request, parsedBody)) return undefined
  return jsonBody(request, parsedBody, maxBodyBytes)
}

/** The id that a request names, at one place or at several alike. */
function idIn(query: URLSearchParams, body: unknown): string {
  const [id, ...others] = new Set([...query.getAll('id'), ...clientIdIn(body)])
  if (id === undefined || id === '') throw new NoIdError()
  if (others.length > 0) throw new BodyError('The request names several clients. Name one.')
  return id
}

function clientIdIn(body: unknown): string[] {
  if (body === undefined) return []
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new BodyError('The body must be an object: {"client_id"}.')
  }
  const { client_id: id } = body as { client_id?: unknown }
  if (id === undefined) return []
  if (typeof id !== 'string') throw new BodyError('client_id must be a string.')
  return [id]
}

/** The clients that a middleware made which names no principal. */
const unnamed = new WeakSet<object>()

/**
 * Tells whoever names a principal at the stream and not at `clients`: `revoke` and the limits for an
 * owner would pass such a client over.
 *
 * @throws OptionsError
 */
export function checkNamed(client: object): void {
  if (!unnamed.has(client)) return
  throw new OptionsError(
    'The stream names a principal, and clients, which made this client, does not: it has no owner. ' +
      'Give the same principal to both, or owner: false to clients.',
  )
}
