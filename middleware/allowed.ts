import type { Client, Streamer } from '../src/index.js'
import { RequestGoneError } from '../src/index.js'
import type { AllowedSince, Visit } from '../src/for-middleware.js'
import { bothAllow, doorOf } from '../src/for-middleware.js'
import type { Authorize, RequestContext } from './request-context.js'
import { isAuthorized } from './request-context.js'

/** How many topics one request asks for at once, so that it leaves room for the others. */
const AT_ONCE = 16

/** Who asks for topics, and what decides. */
export interface Asking<Context, Principal> {
  authorize: Authorize<Context, Principal> | undefined
  principal: Principal | undefined
  visit: Visit
  /** The client, where this server has it. */
  client?: Client | undefined
  /** Whether a name may be asked for at all. */
  mayBeAsked: (topic: string) => boolean
  /** The answer where neither the middleware nor the Streamer has an `authorize`. */
  unasked: boolean
}

/**
 * Which of these topics the user may have, and since when, in their order. The caller has checked how many they are.
 * The middleware's `authorize` and the Streamer's must both allow a topic.
 *
 * Over all requests, at most `maxAuthorizeCalls` run at once. A request whose client has gone asks
 * for no more topics.
 *
 * @throws CallbackError if an `authorize` throws, or what it throws that is meant for the client;
 *   RequestGoneError
 */
export async function areAllowed<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  topics: readonly string[],
  { authorize, principal, visit, client, mayBeAsked, unasked }: Asking<Context, Principal>,
): Promise<AllowedSince[]> {
  const { authorizing, rights } = doorOf(streamer)
  const checkThere = () => {
    if (context.request.socket.destroyed) throw new RequestGoneError()
  }
  const isAllowed = async (topic: string): Promise<AllowedSince> => {
    if (!mayBeAsked(topic)) return false
    let allowed: AllowedSince = -Infinity
    if (authorize !== undefined) {
      allowed = await authorizing.run(() => {
        checkThere()
        return isAuthorized(authorize, context, principal, topic)
      })
      if (allowed === false) return false
    }
    if (!rights.own) return authorize !== undefined || unasked ? allowed : false
    checkThere()
    return bothAllow(allowed, await rights.allows(client, topic, visit))
  }
  const allowed: AllowedSince[] = []
  let next = 0
  const ask = async () => {
    while (next < topics.length) {
      const index = next++
      allowed[index] = await isAllowed(topics[index]!)
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, topics.length) }, ask))
  } finally {
    // After an error, the others ask for no more.
    next = topics.length
  }
  return allowed
}

/** How far back a position may bring messages of a topic, by an answer; undefined for no bound. */
export function boundOf(answer: AllowedSince | undefined): number | undefined {
  return answer === undefined || answer === false || answer === -Infinity ? undefined : answer
}
