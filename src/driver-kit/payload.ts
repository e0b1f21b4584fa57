import { isUint8Array } from 'node:util/types'
import type { Payload } from '../driver.js'
import { faultOfEventName } from '../event-names.js'

/** A `payload` callback: what of a message is sent to the clients of a topic. */
export type ChoosePayload<Message> = (message: Message, topic: string) => Payload

/** What a `payload` callback takes and gives, in words for an error. */
export const PAYLOAD = 'a function from a message and a topic to text, bytes, or { event, data }'

/**
 * What a `payload` callback of a user returned, if it is text, bytes or a named event.
 *
 * @throws TypeError otherwise. A driver tells the loss with a gap whose reason names it.
 */
export function checkedPayload(returned: unknown): Payload {
  if (isData(returned)) return returned
  const { event, data } = Object(returned) as { event?: unknown; data?: unknown }
  if (typeof event === 'string' && isData(data)) {
    const fault = faultOfEventName(event)
    if (fault === undefined) return { event, data }
    throw new TypeError(`it named an event ${JSON.stringify(event)}, which can't be: ${fault}`)
  }
  const got = returned === null ? 'null' : typeof returned
  throw new TypeError(
    `it returned ${got}; it has to return a string, bytes, or { event, data } of these`,
  )
}

function isData(value: unknown): value is string | Uint8Array {
  return typeof value === 'string' || isUint8Array(value)
}
