import type { AnyResponse, Client, Streamer } from '../src/index.js'
import { ClientExistsError, ForbiddenTopicError, OptionsError } from '../src/index.js'
import type { Plan, Visit } from '../src/for-middleware.js'
import { checkRequest, doorOf, lastEventIdOf, queryOf } from '../src/for-middleware.js'
import { areNames, called, isName } from './callbacks.js'
import type { Authorize, RequestContext, PrincipalOptions } from './request-context.js'
import { addRule, assignClient, isAuthorized, ownerOf, principalOf } from './request-context.js'
import type { WildcardOptions } from './wildcards.js'
import { isPlain, NOT_PLAIN } from './wildcards.js'

/** Options of `autoClient`. */
export interface AutoClientOptions<Context, Principal = unknown>
  extends PrincipalOptions<Context, Principal>, WildcardOptions {
  /**
   * The topics of a request's client, chosen by the server. A function is asked again each time that
   * the client opens a stream. Its names are held to `wildcards`; those of a list are your own. Default:
   * the topics that the request names, as in `?topic=a&topic=b`; `authorize` must allow each.
   */
  topics?: string[] | ((request: Context) => string[] | Promise<string[]>)
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

/**
 * Checks the options when the middleware is made, and has `authorize` asked again for what it allows.
 *
 * @returns the name of the rule, for `assureClient`.
 * @throws OptionsError
 */
export function prepareAutoClient<Context, Principal>(
  streamer: Streamer,
  options: AutoClientOptions<Context, Principal>,
): string | undefined {
  const { topics } = options
  if (topics !== undefined && typeof topics !== 'function' && !areNames(topics)) {
    throw new OptionsError('autoClient: topics takes an array of names, or a function.')
  }
  return addRule(streamer, 'autoClient', options)
}

/**
 * Finds or makes the client of a request. Without `id`, a request that names a client is left alone.
 *
 * @param response If it closes before the client has had a stream, the client is removed.
 * @param rule What `prepareAutoClient` gave.
 * @returns the address to redirect to, or undefined to go on.
 * @throws ForbiddenTopicError, and the errors of `newClient` and `subscribe`.
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
  checkRequest(context.request)
  const { client, plan } = await findOrMake(streamer, context, options, rule)
  if (!options.redirect || named === client.id) {
    assignClient(context.request, { id: client.id, plan })
    // A middleware between this one and the stream may answer the request itself.
    response.once('close', () => dismiss(streamer, client.id))
    return undefined
  }
  query.set('id', client.id)
  // Relative, since a proxy or a router may have cut off a part of the browser's path.
  return `?${query.toString()}`
}

function dismiss(streamer: Streamer, id: string): void {
  const client = streamer.getClient(id)
  if (client?.transient && !client.connected) doorOf(streamer).abandon(client)
}

async function findOrMake<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: AutoClientOptions<Context, Principal>,
  rule: string | undefined,
): Promise<{ client: Pick<Client, 'id'>; plan: Plan }> {
  const { id: idOf } = options
  const id =
    idOf &&
    (await called('id', () => idOf(context.frameworkRequest), isName, "a string, the client's id"))
  const existing = id === undefined ? undefined : await streamer.findClient(id)
  const owner = ownerOf(context, options)
  // Checked first, so that a refused request costs almost nothing and never reaches the broker.
  if (existing === undefined) doorOf(streamer).checkRoom(undefined, owner, context.address)
  const after = lastEventIdOf(context.request)
  const comesAgain = existing !== undefined || after !== undefined
  const plan = await planFor(streamer, context, options, rule, comesAgain)
  if (existing !== undefined) return { client: existing, plan }
  const settings = { owner, transient: id === undefined && !options.redirect }
  let client
  try {
    client =
      id === undefined
        ? await streamer.newClient(settings)
        : await streamer.newCustomClient(id, settings)
  } catch (error) {
    // Another request has just made it, here or on another server.
    if (id !== undefined && error instanceof ClientExistsError) return { client: { id }, plan }
    throw error
  }
  const { grant, wanted } = plan
  try {
    const door = doorOf(streamer)
    await Promise.all(wanted.map((topic) => door.subscribe(client.id, topic, { after, grant })))
  } catch (error) {
    await client.close()
    throw error
  }
  return { client, plan }
}

/**
 * The topics that a request is to have.
 *
 * @param comesAgain Whether the page has had a stream before. It then goes on with what it still may
 *   have, and is told what not.
 * @throws ForbiddenTopicError
 */
async function planFor<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: AutoClientOptions<Context, Principal>,
  rule: string | undefined,
  comesAgain: boolean,
): Promise<Plan> {
  const { rights } = doorOf(streamer)
  const { epoch } = rights
  const { topics, authorize } = options
  const names = [...new Set(await namesFor(context, options))]
  const principal = principalOf(context, options)
  const visit: Visit = { principal, request: context.frameworkRequest, context }
  const fromList = Array.isArray(topics)
  const forbidden: string[] = []
  let reason = ''
  const answers = await Promise.all(
    names.map(async (topic) => {
      if (!fromList && !isPlain(streamer, topic, options)) {
        reason = NOT_PLAIN
        return false
      }
      if (authorize !== undefined && !(await isAuthorized(authorize, context, principal, topic))) {
        return false
      }
      if (rights.own) return rights.allows(undefined, topic, visit)
      return authorize !== undefined || topics !== undefined
    }),
  )
  for (const [index, topic] of names.entries()) if (!answers[index]) forbidden.push(topic)
  const wanted = names.filter((_, index) => answers[index])
  if (forbidden.length > 0 && (!comesAgain || wanted.length === 0)) {
    throw new ForbiddenTopicError(forbidden, reason)
  }
  const how = topics === undefined ? 'named' : 'given'
  return { wanted, forbidden, grant: { how, rule }, epoch }
}

async function namesFor<Context, Principal>(
  context: RequestContext<Context>,
  { topics }: AutoClientOptions<Context, Principal>,
): Promise<string[]> {
  if (topics === undefined) return queryOf(context.request).getAll('topic')
  if (typeof topics !== 'function') return topics
  const takes = 'an array of strings, the names of topics'
  return called('topics', () => topics(context.frameworkRequest), areNames, takes)
}
