import type { Streamer } from '../src/index.js'
import { RequestGoneError } from '../src/index.js'
import { doorOf } from '../src/for-middleware.js'
import type { Authorize, RequestContext } from './request-context.js'
import { isAuthorized } from './request-context.js'

/** How many calls of `authorize` one request has at once, so that it leaves room for the others. */
const AT_ONCE = 16

/**
 * Which of these topics the user may have, in their order. The caller has checked how many they are.
 *
 * Over all requests, at most `maxAuthorizeCalls` run at once. A request whose client has gone asks
 * for no more topics.
 *
 * @throws CallbackError if `authorize` throws; RequestGoneError
 */
export async function areAllowed<Context, Principal>(
  streamer: Streamer,
  authorize: Authorize<Context, Principal> | undefined,
  context: RequestContext<Context>,
  principal: Principal | undefined,
  topics: readonly string[],
): Promise<boolean[]> {
  const { authorizing } = doorOf(streamer)
  const allowed: boolean[] = []
  let next = 0
  const ask = async () => {
    while (next < topics.length) {
      const index = next++
      allowed[index] = await authorizing.run(() => {
        if (context.request.socket.destroyed) throw new RequestGoneError()
        return isAuthorized(authorize, context, principal, topics[index]!)
      })
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
