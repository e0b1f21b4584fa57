import type { Streamer } from '../src/index.js'
import {
  BodyError,
  ForbiddenTopicError,
  MethodError,
  NoClientError,
  NotOwnerError,
  TopicNameError,
  TransientClientError,
} from '../src/index.js'
import type { Visit } from '../src/for-middleware.js'
import { doorOf, publicError } from '../src/for-middleware.js'
import { jsonBody, MAX_BODY_BYTES } from './body.js'
import type { CrossSiteOptions } from './cross-site.js'
import { checkSite } from './cross-site.js'
import type { Answer, Authorize, RequestContext, PrincipalOptions } from './request-context.js'
import { addRule, isAuthorized, ownerOf, principalOf } from './request-context.js'
import type { WildcardOptions } from './wildcards.js'
import { isPlain, NOT_PLAIN } from './wildcards.js'

/** Options of `subscriptions`. */
export interface SubscriptionsOptions<Context, Principal = unknown>
  extends PrincipalOptions<Context, Principal>, CrossSiteOptions, WildcardOptions {
  /**
   * Whether the user may subscribe to a topic. Only `true` allows it. It is asked again each time that
   * the client opens a stream, and by `streamer.recheck`. Beside the Streamer's own `authorize`, both
   * must allow a topic. Unsubscribing is always allowed. Default: what the Streamer's says, else no
   * topic is allowed.
   */
  authorize?: Authorize<Context, Principal>
  /** The largest body that is read, in bytes. A larger one gets 413. Default: 65,536. */
  maxBodyBytes?: number
}

/**
 * Has `authorize` asked again for what it allows. Called when the middleware is made.
 *
 * @returns the name of the rule, for `answerSubscriptions`.
 */
export function prepareSubscriptions<Context, Principal>(
  streamer: Streamer,
  options: SubscriptionsOptions<Context, Principal>,
): string | undefined {
  return addRule(streamer, 'subscriptions', options)
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
 * A name that can't be a topic's refuses the whole request before anything is done. A topic that is
 * not allowed, or that the broker does not open, is refused alone. If no topic was added or
 * removed, the status is that of the first refusal, else 200.
 *
 * @throws MethodError, NoClientError, NotOwnerError, TransientClientError, TopicNameError, and the errors of `jsonBody`
 */
export async function answerSubscriptions<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: SubscriptionsOptions<Context, Principal>,
  rule: string | undefined,
): Promise<Answer> {
  const { request, parsedBody } = context
  if (request.method !== 'POST') throw new MethodError(request.method ?? 'GET', ['POST'])
  checkSite(request, options)
  const owner = ownerOf(context, options)
  const limit = options.maxBodyBytes ?? MAX_BODY_BYTES
  const wanted = wantedIn(streamer, await jsonBody(request, parsedBody, limit))
  const { clientId } = wanted
  const client = await streamer.findClient(clientId)
  const { goesWithStream } = doorOf(streamer)
  if (client === undefined) {
    throw goesWithStream(clientId) ? new TransientClientError() : new NoClientError()
  }
  if (client.owner !== undefined && client.owner !== owner) throw new NotOwnerError()
  if (goesWithStream(clientId)) throw new TransientClientError()

  // All topics are authorized first: if `authorize` throws, the client is unchanged.
  const door = doorOf(streamer)
  const { epoch } = door.rights
  const principal = principalOf(context, options)
  const visit: Visit = { principal, request: context.frameworkRequest, context }
  const isAllowed = async (topic: string) => {
    if (!isPlain(streamer, topic, options)) return false
    const { authorize } = options
    if (authorize === undefined && !door.rights.own) return false
    if (authorize !== undefined && !(await isAuthorized(authorize, context, principal, topic))) {
      return false
    }
    return door.rights.allows(streamer.getClient(clientId), topic, visit)
  }
  const allowed = await Promise.all(wanted.add.map(isAllowed))
  const had = await Promise.all(wanted.remove.map((topic) => door.unsubscribe(clientId, topic)))
  const removed = wanted.remove.filter((_, index) => had[index])
  const added: string[] = []
  const refused: Refusal[] = []
  let status = 200
  await Promise.all(
    wanted.add.map(async (topic, index) => {
      try {
        if (!allowed[index]) throw forbidden(streamer, topic, options)
        const isNew = await door.subscribe(clientId, topic, { grant: { how: 'added', rule } })
        // Rights were looked at again meanwhile, perhaps before the client had the topic.
        if (isNew && epoch !== door.rights.epoch && !(await isAllowed(topic))) {
          await door.unsubscribe(clientId, topic)
          throw forbidden(streamer, topic, options)
        }
        if (isNew) added.push(topic)
      } catch (error) {
        const answer = publicError(error)
        if (refused.length === 0) status = answer.status
        refused.push({ topic, ...answer.body.error })
      }
    }),
  )
  const here = streamer.getClient(clientId)
  if (here !== undefined) door.rights.asked(here, principal)
  const after = await streamer.findClient(clientId)
  const topics = after?.topics ?? []
  const body = { client_id: clientId, topics, added, removed, refused }
  return { status: added.length + removed.length > 0 ? 200 : status, body }
}

function forbidden(streamer: Streamer, topic: string, options: WildcardOptions): Error {
  return new ForbiddenTopicError([topic], isPlain(streamer, topic, options) ? '' : NOT_PLAIN)
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
