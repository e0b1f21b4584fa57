import { isUint8Array } from 'node:util/types'

/**
 * What a `payload` callback of a user returned, if it is text or bytes.
 *
 * @throws TypeError otherwise. A driver tells the loss with a gap whose reason names it.
 */
export function checkedPayload(returned: unknown): string | Uint8Array {
  if (typeof returned === 'string' || isUint8Array(returned)) return returned
  const got = returned === null ? 'null' : typeof returned
  throw new TypeError(`it returned ${got}; it has to return a string or bytes`)
}
