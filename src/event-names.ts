/**
 * The name of events that are for the connection alone: a position, a time to wait, a goodbye for
 * programs. The first two have no data, so a reader by the standard dispatches nothing. Other readers
 * dispatch an empty event, under a name that only clients of this protocol listen to. No topic may have it.
 */
export const CONNECTION_EVENT = 'unifrost-connection'

const FORBIDDEN = /[\r\n\0]/

/** What keeps a text from being the name of an application's event, or undefined where nothing does. */
export function faultOfEventName(name: unknown): string | undefined {
  if (typeof name !== 'string') return 'it is no string'
  if (name === '') return 'it is empty'
  if (name === 'open' || name === 'error') return 'EventSource uses it for events of its own'
  if (name === CONNECTION_EVENT) return 'streams use it for what no page is to see'
  if (FORBIDDEN.test(name)) return 'it holds CR, LF or NUL'
  return name.isWellFormed() ? undefined : 'it has half of a surrogate pair'
}
