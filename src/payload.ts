import type { Encoded } from './encode.js'
import { encodeEvent, isSendable } from './encode.js'
import { errorMessage } from './messages.js'

/** How payloads travel: see `Driver.encoding`. */
export type Encoding = 'utf8' | 'base64'

const NOT_UTF8 =
  'A message of this topic is not UTF-8 and was refused. The server can send such topics in base64.'

/** Whether a payload can be sent as it is. */
export function isAccepted(encoding: Encoding, payload: string | Uint8Array): boolean {
  return encoding === 'base64' || isSendable(payload)
}

/** A topic's message, of a payload that is accepted. */
export function topicMessage(
  encoding: Encoding,
  topic: string,
  payload: string | Uint8Array,
  id: string,
): Encoded {
  const data =
    encoding === 'base64' ? Buffer.from(payload as Uint8Array).toString('base64') : payload
  return encodeEvent({ id, event: topic, data })
}

/** What stands in the place of a message that is not accepted. */
export function refusedMessage(topic: string, id: string): Encoded {
  return errorMessage({ code: 'subscription-failure', topic, message: NOT_UTF8 }, { id })
}
