import type { FoundClient, Streamer } from '../src/index.js'
import {
  BodyError,
  ForbiddenTopicError,
  MethodError,
  NoClientError,
  NotOwnerError,
  TopicNameError,
} from '../src/index.js'
import type { CrossSiteOptions, Door } from '../src/for-middleware.js'
import {
  callback,
  checkOptions,
  checkSite,
  count,
  doorOf,
  given,
  originsCheck,
  publicError,
} from '../src/for-middleware.js'
import { areAllowed } from './allowed.js'
import { jsonBody, MAX_BODY_BYTES } from './body.js'
import type { Answer, Authorize, RequestContext, PrincipalOptions } from './request-context.js'
import { ownerOf, PRINCIPAL_OPTIONS, principalOf } from './request-context.js'
import { checkStreamer } from './streamer-argument.js'

/** Options of `subscriptions`. */
export interface SubscriptionsOptions<Context, Principal = unknown>
  extends PrincipalOptions<Context, Principal>, CrossSiteOptions {
  /**
   * Whether the user may subscribe to a topic. Only `true` allows it. Default: no topic is allowed.
   * Unsubscribing is always allowed.
   */
  authorize?: Authorize<Context, Principal>
  /** The largest body that is read, in bytes. A larger one gets 413. Default: 65,536. */
  maxBodyBytes?: number
}

/** Checks what the middleware is made of. @throws OptionsError */
export function checkSubscriptions<C, P>(
  streamer: Streamer,
  options: SubscriptionsOptions<C, P>,
): void {
  checkStreamer('subscriptions', streamer)
  checkOptions('subscriptions', options, {
    ...PRINCIPAL_OPTIONS,
    authorize: given(callback('a function from a user and a topic to true or false')),
    origins: originsCheck,
    maxBodyBytes: count(0),
  })
}

/** One topic that the client was not subscribed to, and why. */
interface Refusal {
  topic: string
  code: string
  message: string
}

/**
 * `POST {"client_id", "add", "remove"}` changes a client's topics: first it removes, then it adds.
 * The answer lists the client's topics after that, and those that were added, removed and refused.
 *
 * A name that can't be a topic's refuses the whole request before anything is done, and so do more
 * topics to add than a client may have. A topic that is
 * not allowed, or that the broker does not open, is refused alone. If no topic was added or
 * removed, the status is that of the first refusal, else 200.
 *
 * @throws MethodError, NoClientError, NotOwnerError, TopicNameError, TooManyTopicsError, and the
 *   errors of `jsonBody`
 */
export async function answerSubscriptions<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: SubscriptionsOptions<Context, Principal>,
): Promise<Answer> {
  const { request, parsedBody } = context
  if (request.method !== 'POST') throw new MethodError(request.method ?? 'GET', ['POST'])
  checkSite(request, { origins: options.origins, host: context.host })
  const owner = ownerOf(context, options)
  const limit = options.maxBodyBytes ?? MAX_BODY_BYTES
  const wanted = wantedIn(streamer, await jsonBody(request, parsedBody, limit))
  const door: Door = doorOf(streamer)
  door.checkTopics(wanted.add)
  const client = await streamer.findClient(wanted.clientId)
  if (client === undefined) throw new NoClientError()
  if (client.owner !== undefined && client.owner !== owner) throw new NotOwnerError()

  // All topics are authorized first: if `authorize` throws, the client is unchanged.
  const principal = principalOf(context, options)
  const allowed = await areAllowed(streamer, options.authorize, context, principal, wanted.add)
  const removed = await remove(streamer, client, wanted.remove)
  const added: string[] = []
  const refused: Refusal[] = []
  let status = 200
  await Promise.all(
    wanted.add.map(async (topic, index) => {
      try {
        if (!allowed[index]) throw new ForbiddenTopicError([topic])
        const had = client.topics.includes(topic)
        await streamer.subscribe(client.id, topic)
        if (!had) added.push(topic)
      } catch (error) {
        const answer = publicError(error)
        if (refused.length === 0) status = answer.status
        refused.push({ topic, ...answer.body.error })
      }
    }),
  )
  const after = await streamer.findClient(client.id)
  const topics = after?.topics ?? []
  const body = { client_id: client.id, topics, added, removed, refused }
  return { status: added.length + removed.length > 0 ? 200 : status, body }
}

async function remove(
  streamer: Streamer,
  client: FoundClient,
  topics: string[],
): Promise<string[]> {
  const had = new Set(client.topics)
  const present = topics.filter((topic) => had.has(topic))
  await Promise.all(present.map((topic) => streamer.unsubscribe(client.id, topic)))
  return present
}

function wantedIn(
  streamer: Streamer,
  body: unknown,
): { clientId: string; add: string[]; remove: string[] } {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new BodyError('The body must be an object: {"client_id", "add", "remove"}.')
  }
  const { client_id: clientId, add = [], remove = [] } = body as Record<string, unknown>
  if (typeof clientId !== 'string' || clientId === '') {
    throw new BodyError('client_id must be a string: the id of the client to change.')
  }
  return {
    clientId,
    add: namesIn(streamer, 'add', add),
    remove: namesIn(streamer, 'remove', remove),
  }
}

function namesIn(streamer: Streamer, field: string, value: unknown): string[] {
  if (!Array.isArray(value)) throw new BodyError(`${field} must be an array of topic names.`)
  for (const [index, name] of value.entries()) {
    try {
      streamer.checkTopicName(name)
    } catch (error) {
      throw new TopicNameError(`${field}[${index}]: ${(error as Error).message}`)
    }
  }
  return [...new Set(value as string[])]
}
