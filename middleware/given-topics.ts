import type { Client, Streamer } from '../src/index.js'
import { ForbiddenTopicError } from '../src/index.js'
import type { OptionCheck, Visit } from '../src/for-middleware.js'
import { doorOf, given } from '../src/for-middleware.js'
import { areAllowed } from './allowed.js'
import { areNames, called } from './callbacks.js'
import type { PrincipalOptions, RequestContext } from './request-context.js'
import { principalOf } from './request-context.js'
import { isPlain } from './wildcards.js'

/** Topics that the server chooses for a request. */
export interface GivenTopics<Context> {
  topics?:
    readonly string[] | ((request: Context) => readonly string[] | Promise<readonly string[]>)
}

/** The check of `topics`. */
export const TOPICS_CHECK: OptionCheck = given([
  (value) => typeof value === 'function' || isList(value),
  'a list of topics, or a function from a request to one',
])

function isList(value: unknown): boolean {
  return Array.isArray(value) && value.every((it) => typeof it === 'string')
}

/** @throws TopicNameError for a name of a list that is none. */
export function checkTopicList<Context>(
  streamer: Streamer,
  { topics }: GivenTopics<Context>,
): void {
  if (topics === undefined || typeof topics === 'function') return
  for (const topic of topics) streamer.checkTopicName(topic)
}

/** What a function of the application's gives for `topics`. @throws CallbackError */
export function askTopics<Context>(
  topics: (request: Context) => unknown,
  request: Context,
): Promise<readonly string[]> {
  return called(
    'topics',
    () => topics(request),
    areNames,
    'an array of strings, the names of topics',
  )
}

/**
 * The topics of a client that a request makes.
 *
 * @throws ForbiddenTopicError, TooManyTopicsError, TopicNameError, CallbackError
 */
export async function firstTopics<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: GivenTopics<Context> & PrincipalOptions<Context, Principal>,
): Promise<readonly string[]> {
  const { topics = [] } = options
  const { frameworkRequest: request } = context
  const names = [
    ...new Set(typeof topics === 'function' ? await askTopics(topics, request) : topics),
  ]
  const door: ReturnType<typeof doorOf> = doorOf(streamer)
  door.checkTopics(names)
  const principal = principalOf(context, options)
  const visit: Visit = { principal, request, context }
  const allowed = await areAllowed(streamer, context, names, {
    ...{ authorize: undefined, principal, visit },
    mayBeAsked: (topic) => typeof topics !== 'function' || isPlain(streamer, topic, {}),
    unasked: true,
  })
  const forbidden = names.filter((_, index) => !allowed[index])
  if (forbidden.length > 0) throw new ForbiddenTopicError(forbidden)
  return names
}

/** Subscribes a new client. If a topic can't be opened, the client is removed again. */
export async function subscribeAll(
  streamer: Streamer,
  client: Client,
  topics: readonly string[],
): Promise<void> {
  const door = doorOf(streamer)
  try {
    await Promise.all(topics.map((topic) => door.subscribe(client.id, topic, {})))
  } catch (error) {
    await client.close()
    throw error
  }
}
