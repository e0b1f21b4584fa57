import type { AnyResponse, Client, Streamer } from '../src/index.js'
import {
  ForbiddenTopicError,
  NotOwnerError,
  RequestGoneError,
  UnifrostError,
} from '../src/index.js'
import type {
  CrossSiteOptions,
  Door,
  MethodOptions,
  Plan,
  Visit,
  OptionTable,
} from '../src/for-middleware.js'
import {
  afterOf,
  callback,
  checkOptions,
  checkRequest,
  checkSite,
  doorOf,
  flag,
  given,
  lastEventIdOf,
  METHODS_CHECK,
  originsCheck,
  queryOf,
  takeSeat,
} from '../src/for-middleware.js'
import { areAllowed, boundOf } from './allowed.js'
import { called, isName } from './callbacks.js'
import { askTopics, checkTopicList, TOPICS_CHECK } from './given-topics.js'
import type { LabelOptions } from './labels.js'
import { LABEL_OPTIONS, labelsOf } from './labels.js'
import type { Authorize, RequestContext, PrincipalOptions } from './request-context.js'
import {
  addRule,
  assignClient,
  logInOf,
  ownerOf,
  PRINCIPAL_OPTIONS,
  principalOf,
} from './request-context.js'
import type { SnapshotOptions } from './snapshots.js'
import { SNAPSHOT_OPTIONS, snapshotsFor } from './snapshots.js'
import { checkStreamer } from './streamer-argument.js'
import { topicsInAddress } from './topic-parameter.js'
import type { WildcardOptions } from './wildcards.js'
import { isPlain, NOT_PLAIN, WILDCARD_OPTIONS } from './wildcards.js'

/** Options of `autoClient`. */
export interface AutoClientOptions<Context, Principal = unknown>
  extends
    PrincipalOptions<Context, Principal>,
    LabelOptions<Context, Principal>,
    CrossSiteOptions,
    MethodOptions,
    SnapshotOptions<Context, Principal>,
    WildcardOptions {
  /**
   * The topics of a request's client, chosen by the server. A function is asked again each time that
   * the client opens a stream. Its names are held to `wildcards`; those of a list are your own. Default:
   * the topics that the request names, as in `?topic=a&topic=b`; `authorize` must allow each.
   */
  topics?:
    readonly string[] | ((request: Context) => readonly string[] | Promise<readonly string[]>)
  /**
   * Whether the user may have a topic. Only `true` allows it. It is asked for each topic of a request,
   * also for those of `topics`, and for an existing client again. Beside the Streamer's own `authorize`,
   * both must allow a topic. Default: what the Streamer's says, else no topic that a request names.
   */
  authorize?: Authorize<Context, Principal>
  /**
   * The id of the request's client, such as a session's. It alone counts: an id in the address is passed
   * over. The client is found again by this id, for `clientTTL` after it has disconnected. Whoever knows
   * the id of a client without an owner can connect with it, so make it hard to guess. Default: a random
   * id, and the client is removed when it disconnects, since the next request names all that is needed
   * to make it anew.
   */
  id?: (request: Context) => string | Promise<string>
  /**
   * Whether to answer 307 to the same address with `?id=…`, instead of opening the stream at once.
   * The page then finds the id in the stream's address and can use it elsewhere. Default: false.
   */
  redirect?: boolean
}

/** The checks of what decides on the client: the options that no other middleware has. */
export const CLIENT_OPTIONS = {
  topics: TOPICS_CHECK,
  id: given(callback('a function from a request to the id of its client')),
  redirect: flag,
} satisfies OptionTable

/**
 * Checks what the middleware is made of, and has `authorize` asked again for what it allows.
 *
 * @returns the name of the rule, for `assureClient`.
 * @throws OptionsError
 */
export function prepareAutoClient<Context, Principal>(
  streamer: Streamer,
  options: AutoClientOptions<Context, Principal>,
): string | undefined {
  checkStreamer('autoClient', streamer)
  checkOptions('autoClient', options, {
    ...PRINCIPAL_OPTIONS,
    ...LABEL_OPTIONS,
    ...WILDCARD_OPTIONS,
    ...SNAPSHOT_OPTIONS,
    ...CLIENT_OPTIONS,
    authorize: given(callback('a function from a user and a topic to true or false')),
    origins: originsCheck,
    methods: METHODS_CHECK,
  })
  checkTopicList(streamer, options)
  return addRule(streamer, 'autoClient', options)
}

/**
 * Finds or makes the client of a request. Without `id`, a request that names a client is left alone.
 *
 * @param response If it closes before the client has had a stream, the client is removed.
 * @param rule What `prepareAutoClient` gave.
 * @returns the address to redirect to, or undefined to go on.
 * @throws ForbiddenTopicError, RevokedError, and the errors of `newClient` and `subscribe`.
 */
export async function assureClient<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: AutoClientOptions<Context, Principal>,
  response: AnyResponse,
  rule: string | undefined,
): Promise<string | undefined> {
  const query = queryOf(context.request)
  const named = query.get('id')
  if (options.id === undefined && named) return undefined
  checkRequest(context.request, options)
  checkSite(context.request, { origins: options.origins, host: context.host })
  const { client, plan } = await findOrMake(streamer, context, options, response, rule)
  if (!options.redirect || isHead(context) || named === client.id) {
    if (context.request.aborted || response.destroyed || response.closed) {
      dismiss(streamer, client.id)
      throw new RequestGoneError()
    }
    assignClient(context.request, { id: client.id, plan })
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
  rule: string | undefined,
): Promise<{ client: Pick<Client, 'id'>; plan: Plan }> {
  const { id: idOf } = options
  const passing = isHead(context)
  const id =
    idOf === undefined || passing
      ? undefined
      : await called(
          'id',
          () => idOf(context.frameworkRequest),
          isName,
          "a string, the client's id",
        )
  const existing = id === undefined ? undefined : await streamer.findClient(id)
  const owner = ownerOf(context, options)
  if (existing?.owner !== undefined && existing.owner !== owner) throw new NotOwnerError()
  const { request, address } = context
  const door: Door = doorOf(streamer)
  // Taken first, so that a refused request costs almost nothing and never reaches the broker.
  const labels = labelsOf(context, options)
  door.checkRevoked({ id, owner, labels, ...logInOf(context, options) })
  takeSeat(door, { request, response, id, owner: existing ? existing.owner : owner, address })
  const after = lastEventIdOf(request)
  // A page that has just loaded its data has had no stream.
  const goesOn = after !== undefined && after !== afterOf(request)
  const comesAgain = existing !== undefined || goesOn
  const plan = await planFor(streamer, context, options, rule, comesAgain)
  if (existing !== undefined) return { client: existing, plan }
  const settings = {
    ...{ owner: owner ?? (false as const), address },
    ...(labels && { labels }),
    transient: passing || (id === undefined && !options.redirect),
  }
  let client
  try {
    client =
      id === undefined
        ? await streamer.newClient(settings)
        : await streamer.newCustomClient(id, settings)
  } catch (error) {
    // Another request has just made it, here or on another server.
    if (id !== undefined && isTaken(error)) return { client: { id }, plan }
    throw error
  }
  if (passing) return { client, plan: { ...plan, wanted: [], forbidden: [] } }
  const { grant, wanted, snapshots } = plan
  try {
    await Promise.all(
      wanted.map((topic, index) => {
        const since = { allowedSince: boundOf(plan.allowed?.[index]) }
        const snapshot = snapshots && (() => snapshots(topic))
        return door.subscribe(client.id, topic, { after, named: true, grant, snapshot, ...since })
      }),
    )
  } catch (error) {
    await client.close()
    throw error
  }
  return { client, plan }
}

/** By its code, since the Streamer may be of the package's other module format. */
function isTaken(error: unknown): boolean {
  return error instanceof UnifrostError && error.code === 'ERR_UNIFROST_CLIENT_EXISTS'
}

/**
 * The topics that a request is to have.
 *
 * @param comesAgain Whether the page has had a stream before. It then goes on with what it still may
 *   have, and is told what not.
 * @throws ForbiddenTopicError, TooManyTopicsError, TopicNameError
 */
async function planFor<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: AutoClientOptions<Context, Principal>,
  rule: string | undefined,
  comesAgain: boolean,
): Promise<Plan> {
  const door: Door = doorOf(streamer)
  const { epoch } = door.rights
  const { topics, authorize } = options
  const names = [...new Set(await namesFor(context, options))]
  door.checkTopics(names)
  const principal = principalOf(context, options)
  const visit: Visit = { principal, request: context.frameworkRequest, context }
  const fromList = Array.isArray(topics)
  const mayBeAsked = (topic: string) => fromList || isPlain(streamer, topic, options)
  const answers = await areAllowed(streamer, context, names, {
    ...{ authorize, principal, visit, mayBeAsked },
    unasked: topics !== undefined,
  })
  const forbidden = names.filter((_, index) => !answers[index])
  const wanted = names.filter((_, index) => answers[index])
  door.refused(ownerOf(context, options), context.address, forbidden)
  if (forbidden.length > 0 && (!comesAgain || wanted.length === 0)) {
    throw new ForbiddenTopicError(forbidden, forbidden.every(mayBeAsked) ? '' : NOT_PLAIN)
  }
  const how = topics === undefined ? 'named' : 'given'
  const allowed = answers.filter((answer) => answer !== false)
  const snapshots = snapshotsFor(streamer, context, options)
  return { wanted, forbidden, grant: { how, rule }, allowed, snapshots, epoch }
}

async function namesFor<Context, Principal>(
  context: RequestContext<Context>,
  { topics }: AutoClientOptions<Context, Principal>,
): Promise<readonly string[]> {
  if (topics === undefined) return topicsInAddress(context.request)
  if (typeof topics !== 'function') return topics
  return askTopics(topics, context.frameworkRequest)
}
