import { isUint8Array } from 'node:util/types'
import type { NamedPayload, Payload } from '../driver.js'
import { CONNECTION_EVENT, faultOfEventName } from '../event-names.js'
import type { Encoded } from './encode.js'
import { encodeEvent, encodeEvents, isSendable } from './encode.js'

/** The `code` of an error message in the stream. */
export type WireErrorCode =
  'subscription-failure' | 'messages-lost' | 'forbidden-topic' | 'replaced' | 'token-expired'

/** The `message` beside each code, for a person who reads the stream. */
export const WIRE_ERRORS: Record<WireErrorCode, string> = {
  'subscription-failure':
    'The subscription to this topic has failed and has ended. Subscribe again to go on.',
  'messages-lost': 'Messages of this topic are missing here. Load its current state anew.',
  'forbidden-topic': 'You may not have this topic any more. The subscription to it has ended.',
  replaced: 'Another connection has taken over this client. This one ends.',
  'token-expired': 'The token that opened this stream has expired. Get a new one and reconnect.',
}

/** The last message to a client that the server has removed. */
export const CLIENT_CLOSED = 'Client closed'

/** The `config` of the first message. */
export interface ConfigMessage {
  client_id: string
  client_ttl_millis: number
  /** Only if heartbeats are messages: the longest time without one on a living connection. */
  heartbeat_millis?: number
}

/** The fields of an info message. */
interface InfoFields {
  id?: string | undefined
  /** The option `infoEvent`. Without, the message is an unnamed event. */
  event?: string | undefined
}

/** The name of an event as it is written: an unnamed one is dispatched as `message`. */
export function writtenName(event: string): string | undefined {
  return event === 'message' ? undefined : event
}

/** The first message of every connection. */
export function configMessage(
  config: ConfigMessage,
  subscriptions: readonly string[],
  fields: InfoFields & { retry: number; resumes?: string | undefined },
): Encoded {
  return encodeEvent({ ...fields, data: JSON.stringify({ config, subscriptions }) })
}

/** An error message. `topic` is absent if the error concerns the whole connection. */
export function errorMessage(
  error: { code: WireErrorCode; topic?: string; message?: string },
  fields: InfoFields & { retry?: number } = {},
): Encoded {
  const { code, topic, message = WIRE_ERRORS[code] } = error
  return encodeEvent({ ...fields, data: JSON.stringify({ error: { topic, code, message } }) })
}

/** Says that a topic has ended: nothing of it follows. */
export function endMessage(topic: string, fields: InfoFields = {}): Encoded {
  return encodeEvent({ ...fields, data: JSON.stringify({ end: { topic } }) })
}

/** A heartbeat that a page can see. `id` is the client's position, if it is to store one. */
export function heartbeatMessage(fields: InfoFields = {}): Encoded {
  return encodeEvent({ ...fields, data: '{"heartbeat":true}' })
}

/** Why the server ends a stream, as the goodbye says it. */
export type CloseReason =
  /** The client was removed. */
  | 'removed'
  /** The client's user was revoked. */
  | 'revoked'
  /** The server ends, or sends its clients away. */
  | 'shutdown'
  /** Another server has the client now. */
  | 'moved'
  /** The application asked for it, by `reconnect`. */
  | 'reconnect'

/**
 * Ends a stream whose client is to reconnect, perhaps to another server. A page that does not listen
 * to this event sees nothing.
 *
 * @param event The option `infoEvent`, if it is given.
 */
export function comeBackMessage(reason: CloseReason, retry: number, event?: string): Encoded {
  return encodeEvent({ retry, event: event ?? CONNECTION_EVENT, data: closeReason(reason, true) })
}

/**
 * The last messages to a client that the server has removed: why, for programs, and the text that
 * pages know.
 *
 * @param back Whether the page is to come back, after `retry` milliseconds, for a new client.
 */
export function closedMessage(
  reason: CloseReason,
  { back, retry, event }: { back: boolean; retry: number; event?: string | undefined },
): Encoded {
  return encodeEvents([
    { event: event ?? CONNECTION_EVENT, data: closeReason(reason, back) },
    { retry, event, data: CLIENT_CLOSED },
  ])
}

function closeReason(reason: CloseReason, reconnect: boolean): string {
  return JSON.stringify({ closed: { reason, reconnect } })
}

/** How payloads are sent. See `Driver.encoding`. */
export type Encoding = 'utf8' | 'base64'

const NOT_UTF8 =
  'A message of this topic is not UTF-8 and was refused. The server can send such topics in base64.'

const TOO_LARGE =
  'A message of this topic is larger than the server sends and is missing here. Load its current ' +
  'state anew.'

/** Why a payload is not sent: it is larger than `maxMessageBytes`, or can't be sent in this encoding. */
export type Refusal = 'too-large' | 'not-utf8'

/** Why this payload is not sent, or undefined where it is. */
export function refusalOf(
  encoding: Encoding,
  payload: Payload,
  maxBytes: number,
): Refusal | undefined {
  const data = isNamed(payload) ? payload.data : payload
  if (isLarger(data, maxBytes)) return 'too-large'
  return encoding === 'base64' || isSendable(data) ? undefined : 'not-utf8'
}

/** @throws TypeError for what a driver must not hand over. */
export function checkPayload(payload: unknown): asserts payload is Payload {
  if (typeof payload === 'string' || isUint8Array(payload)) return
  const { event, data } = Object(payload) as { event?: unknown; data?: unknown }
  if (typeof data !== 'string' && !isUint8Array(data)) {
    throw new TypeError(
      `A driver hands over text, bytes, or { event, data } of these; this is ${typeof payload}.`,
    )
  }
  const fault = faultOfEventName(event)
  if (fault !== undefined) throw new TypeError(`A driver named an event, and ${fault}.`)
}

function isNamed(payload: Payload): payload is NamedPayload {
  return typeof payload === 'object' && !isUint8Array(payload)
}

function isLarger(payload: string | Uint8Array, maxBytes: number): boolean {
  if (payload.length > maxBytes) return true
  // A UTF-16 unit takes up to three bytes in UTF-8, so most texts need not be measured.
  if (typeof payload !== 'string' || payload.length * 3 <= maxBytes) return false
  return Buffer.byteLength(payload) > maxBytes
}

/** A topic's message. The payload is not refused ({@link refusalOf}). */
export function topicMessage(
  encoding: Encoding,
  topic: string,
  payload: Payload,
  id?: string,
): Encoded {
  const named = isNamed(payload)
  const body = named ? payload.data : payload
  const data = encoding === 'base64' ? Buffer.from(body as Uint8Array).toString('base64') : body
  return encodeEvent({ id, event: named ? writtenName(payload.event) : topic, data })
}

/** The error message that a client gets in place of a payload that is refused. */
export function refusedMessage(why: Refusal, topic: string, fields: InfoFields): Encoded {
  const error =
    why === 'too-large'
      ? ({ code: 'messages-lost', topic, message: TOO_LARGE } as const)
      : ({ code: 'subscription-failure', topic, message: NOT_UTF8 } as const)
  return errorMessage(error, fields)
}
