import type { Client, Streamer, TopicAfter } from '../src/index.js'
import { ForbiddenTopicError } from '../src/index.js'
import type { Door, OptionCheck, Snapshots, Visit } from '../src/for-middleware.js'
import { doorOf, given } from '../src/for-middleware.js'
import { areAllowed, boundOf } from './allowed.js'
import { areNames, called, isName } from './callbacks.js'
import type { PrincipalOptions, RequestContext } from './request-context.js'
import { principalOf } from './request-context.js'
import { isPlain } from './wildcards.js'

/** A topic that the server chooses, or one that begins after a position that the request named. */
export type GivenTopic = string | TopicAfter

/** Topics that the server chooses for a request. */
export interface GivenTopics<Context> {
  topics?:
    | readonly string[]
    | ((request: Context) => readonly GivenTopic[] | Promise<readonly GivenTopic[]>)
}

/** Where a subscription begins. */
type Begins = Parameters<Door['subscribe']>[2]

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

function askGiven<Context>(
  topics: (request: Context) => unknown,
  request: Context,
): Promise<readonly GivenTopic[]> {
  return called(
    'topics',
    () => topics(request),
    areGiven,
    'an array of names of topics, or of { topic, after }',
  )
}

function areGiven(value: unknown): value is GivenTopic[] {
  return Array.isArray(value) && value.every((entry) => isName(entry) || isTopicAfter(entry))
}

function isTopicAfter(entry: unknown): entry is TopicAfter {
  if (typeof entry !== 'object' || entry === null) return false
  const { topic, after, ...rest } = entry as Record<string, unknown>
  const isPosition = after === undefined || typeof after === 'string'
  return isName(topic) && isPosition && Object.keys(rest).length === 0
}

/**
 * The topics of a client that a request makes, each with the position after which it begins, if one
 * was named.
 *
 * @throws ForbiddenTopicError, TooManyTopicsError, TopicNameError, CallbackError
 */
export async function firstTopics<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: GivenTopics<Context> & PrincipalOptions<Context, Principal>,
): Promise<ReadonlyMap<string, Begins>> {
  const { topics = [] } = options
  const { frameworkRequest: request } = context
  const given = typeof topics === 'function' ? await askGiven(topics, request) : topics
  const positions = new Map<string, string | undefined>()
  for (const entry of given) {
    const { topic, after } = typeof entry === 'string' ? { topic: entry } : entry
    if (!positions.has(topic)) positions.set(topic, after)
  }
  const names = [...positions.keys()]
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
  return new Map(
    names.map((topic, index) => {
      const begins = { named: true, strict: true, allowedSince: boundOf(allowed[index]) }
      const after = positions.get(topic)
      return [topic, after === undefined ? {} : { after, ...begins }]
    }),
  )
}

/**
 * Subscribes a new client. If a topic can't be opened, or a position does not count, the client is
 * removed again.
 */
export async function subscribeAll(
  streamer: Streamer,
  client: Client,
  topics: ReadonlyMap<string, Begins>,
  snapshots: Snapshots | undefined,
): Promise<void> {
  const door: ReturnType<typeof doorOf> = doorOf(streamer)
  try {
    await Promise.all(
      [...topics].map(([topic, begins]) => {
        const snapshot = snapshots && (() => snapshots(topic))
        return door.subscribe(client.id, topic, { ...begins, snapshot })
      }),
    )
  } catch (error) {
    await client.close()
    throw error
  }
}
