import type { Encoded } from './encode.js'
import { encodeEvent, encodeRetry, isSendable } from './encode.js'

/** Why a client is told of an error: the `code` of an error message on the wire. */
export type WireErrorCode = 'subscription-failure' | 'messages-lost' | 'replaced' | 'token-expired'

/** What stands behind each code, for the person who reads the stream. */
export const WIRE_ERRORS: Record<WireErrorCode, string> = {
  'subscription-failure':
    'The subscription to this topic has failed and is over. Subscribe again to go on.',
  'messages-lost': 'Messages of this topic are missing here. Load its current state anew.',
  replaced: 'Another connection has taken over this client. This one ends.',
  'token-expired': 'The token that opened this stream has expired. Get a new one and reconnect.',
}

/** The text that ends the stream of a client that the server has closed. */
export const CLIENT_CLOSED = 'Client closed'

/** What the first message tells a client of itself. */
export interface ConfigMessage {
  client_id: string
  client_ttl_millis: number
  /** Only where heartbeats are messages: the longest silence of a living stream. */
  heartbeat_millis?: number
}

/** The first message of every connection. */
export function configMessage(
  config: ConfigMessage,
  subscriptions: readonly string[],
  fields: { id?: string | undefined; retry: number },
): Encoded {
  return encodeEvent({ ...fields, data: JSON.stringify({ config, subscriptions }) })
}

/** An error message. `topic` is absent where the error concerns the whole connection. */
export function errorMessage(
  error: { code: WireErrorCode; topic?: string; message?: string },
  fields: { id?: string | undefined; retry?: number } = {},
): Encoded {
  const { code, topic, message = WIRE_ERRORS[code] } = error
  return encodeEvent({ ...fields, data: JSON.stringify({ error: { topic, code, message } }) })
}

/** A heartbeat that JavaScript can see, with a position where there is one to name. */
export function heartbeatMessage(id?: string): Encoded {
  return encodeEvent({ id, data: '{"heartbeat":true}' })
}

/** Ends a stream whose client is to come back, to another server perhaps. It shows as nothing. */
export function comeBackMessage(retry: number): Encoded {
  return encodeRetry(retry)
}

/** The last message of a client that the server has closed. */
export function closedMessage(retry: number): Encoded {
  return encodeEvent({ retry, data: CLIENT_CLOSED })
}

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
