import type { AnyRequest } from './request.js'
import type { AnyResponse } from './response-outlet.js'

/** What express-session puts on a request. */
interface WithSession {
  session?: unknown
  sessionID?: unknown
  sessionStore?: {
    get?: (id: string, callback: (error: unknown, session: unknown) => void) => void
  }
}

/**
 * Ends a stream's response so that a session which was destroyed meanwhile stays so.
 *
 * With express-session, the session of a stream's request lies in memory for as long as the stream.
 * At the response's end it is written to the store (`resave`, its default). Had the user logged out
 * in between, that would log in again. So the store is asked first.
 *
 * @returns what ends the response, or undefined where there is no such session.
 */
export function sessionEnd(request: AnyRequest, response: AnyResponse): (() => void) | undefined {
  const withSession = request as WithSession
  const { sessionStore: store } = withSession
  if (typeof store?.get !== 'function') return undefined
  return () => {
    const { sessionID: id } = withSession
    if (typeof id !== 'string' || withSession.session === undefined) {
      response.end()
      return
    }
    const endOnce = once((isThere: boolean) => {
      // Without an id, express-session writes nothing.
      if (!isThere) withSession.sessionID = undefined
      response.end()
      withSession.sessionID = id
    })
    try {
      store.get!(id, (error, session) => endOnce(!error && Boolean(session)))
    } catch (error) {
      // What can't be looked up may have been destroyed.
      void error
      endOnce(false)
    }
  }
}

function once(call: (isThere: boolean) => void): (isThere: boolean) => void {
  let isDone = false
  return (isThere) => {
    if (!isDone) call(isThere)
    isDone = true
  }
}
