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
import type { CrossSiteOptions, Door, Visit } from '../src/for-middleware.js'
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
import { areAllowed, boundOf } from './allowed.js'
import { jsonBody, MAX_BODY_BYTES } from './body.js'
import type { Answer, Authorize, RequestContext, PrincipalOptions } from './request-context.js'
import { addRule, logInOf, ownerOf, PRINCIPAL_OPTIONS, principalOf } from './request-context.js'
import type { SnapshotOptions } from './snapshots.js'
import { SNAPSHOT_OPTIONS, snapshotsFor } from './snapshots.js'
import { checkStreamer } from './streamer-argument.js'
import type { WildcardOptions } from './wildcards.js'
import { isPlain, NOT_PLAIN, WILDCARD_OPTIONS } from './wildcards.js'

/** Options of `subscriptions`. */
export interface SubscriptionsOptions<Context, Principal = unknown>
  extends
    PrincipalOptions<Context, Principal>,
    CrossSiteOptions,
    SnapshotOptions<Context, Principal>,
    WildcardOptions {
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
 * Checks what the middleware is made of, and has `authorize` asked again for what it allows.
 *
 * @returns the name of the rule, for `answerSubscriptions`.
 * @throws OptionsError
 */
export function prepareSubscriptions<Context, Principal>(
  streamer: Streamer,
  options: SubscriptionsOptions<Context, Principal>,
): string | undefined {
  checkStreamer('subscriptions', streamer)
  checkOptions('subscriptions', options, {
    ...PRINCIPAL_OPTIONS,
    ...WILDCARD_OPTIONS,
    ...SNAPSHOT_OPTIONS,
    authorize: given(callback('a function from a user and a topic to true or false')),
    origins: originsCheck,
    maxBodyBytes: count(0),
  })
  return addRule(streamer, 'subscriptions', options)
}

/** One topic that the client was not subscribed to, and why. */
interface Refusal {
  topic: string
  code: string
  message: string
}

/**
 * `POST {"client_id", "add", "remove"}` changes a client's topics: first it removes, then it adds. An
 * entry of `add` is a name, or `{"topic", "after"}`: what came after this position is sent first.
 * The answer lists the client's topics after that, and those that were added, removed and refused.
 *
 * A name that can't be a topic's refuses the whole request before anything is done, and so do more
 * topics to add than a client may have. A topic that is
 * not allowed, or that the broker does not open, is refused alone. If no topic was added or
 * removed, the status is that of the first refusal, else 200.
 *
 * @throws MethodError, RevokedError, NoClientError, NotOwnerError, TransientClientError, TopicNameError,
 *   TooManyTopicsError, and the errors of `jsonBody`
 */
export async function answerSubscriptions<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: SubscriptionsOptions<Context, Principal>,
  rule: string | undefined,
): Promise<Answer> {
  const { request, parsedBody } = context
  if (request.method !== 'POST') throw new MethodError(request.method ?? 'GET', ['POST'])
  checkSite(request, { origins: options.origins, host: context.host })
  const owner = ownerOf(context, options)
  const limit = options.maxBodyBytes ?? MAX_BODY_BYTES
  const wanted = wantedIn(streamer, await jsonBody(request, parsedBody, limit))
  const { clientId } = wanted
  const door: Door = doorOf(streamer)
  door.checkRevoked({ id: clientId, owner, ...logInOf(context, options) })
  door.checkTopics(wanted.add)
  const client = await streamer.findClient(clientId)
  if (client === undefined) {
    throw door.goesWithStream(clientId) ? new TransientClientError() : new NoClientError()
  }
  if (client.owner !== undefined && client.owner !== owner) throw new NotOwnerError()
  if (door.goesWithStream(clientId)) throw new TransientClientError()

  // All topics are authorized first: if `authorize` throws, the client is unchanged.
  const { epoch } = door.rights
  const principal = principalOf(context, options)
  const visit: Visit = { principal, request: context.frameworkRequest, context }
  const isAllowed = (topics: readonly string[]) =>
    areAllowed(streamer, context, topics, {
      ...{ authorize: options.authorize, principal, visit, client: streamer.getClient(clientId) },
      mayBeAsked: (topic) => isPlain(streamer, topic, options),
      unasked: false,
    })
  const allowed = await isAllowed(wanted.add)
  const snapshots = snapshotsFor(streamer, context, options)
  const had = await Promise.all(wanted.remove.map((topic) => door.unsubscribe(clientId, topic)))
  const removed = wanted.remove.filter((_, index) => had[index])
  const added: string[] = []
  const refused: Refusal[] = []
  let status = 200
  await Promise.all(
    wanted.add.map(async (topic, index) => {
      try {
        if (!allowed[index]) throw forbidden(streamer, topic, options)
        const after = wanted.positions.get(topic)
        const begins =
          after === undefined
            ? {}
            : { after, named: true, strict: true, allowedSince: boundOf(allowed[index]) }
        const grant = { how: 'added' as const, rule }
        const snapshot = snapshots && (() => snapshots(topic))
        const isNew = await door.subscribe(clientId, topic, { grant, ...begins, snapshot })
        // Rights were looked at again meanwhile, perhaps before the client had the topic.
        if (isNew && epoch !== door.rights.epoch && !(await isAllowed([topic]))[0]) {
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
): { clientId: string; add: string[]; remove: string[]; positions: Map<string, string> } {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new BodyError('The body must be an object: {"client_id", "add", "remove"}.')
  }
  const { client_id: clientId, add = [], remove = [] } = body as Record<string, unknown>
  if (typeof clientId !== 'string' || clientId === '') {
    throw new BodyError('client_id must be a string: the id of the client to change.')
  }
  const positions = new Map<string, string>()
  return {
    clientId,
    positions,
    add: namesIn(streamer, 'add', plainNames(add, positions)),
    remove: namesIn(streamer, 'remove', remove),
  }
}

/** The names of what is to be added; those that are added after a position are noted with it. */
function plainNames(add: unknown, positions: Map<string, string>): unknown {
  if (!Array.isArray(add)) return add
  return add.map((entry: unknown, index) => {
    if (typeof entry !== 'object' || entry === null) return entry
    const { topic, after, ...rest } = entry as Record<string, unknown>
    if (typeof topic !== 'string' || Object.keys(rest).length > 0) {
      throw new BodyError(`add[${index}] must be a topic's name, or {"topic", "after"}.`)
    }
    if (after === undefined) return topic
    if (typeof after !== 'string' || after === '') {
      throw new BodyError(`add[${index}].after must be a position: text that this server gave out.`)
    }
    // Of two positions for one topic, the first one counts.
    if (!positions.has(topic)) positions.set(topic, after)
    return topic
  })
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
