import { ClientIdError, quote, TooManyTopicsError, TopicNameError } from '../errors.js'
import { CONNECTION_EVENT } from '../event-names.js'

/** Names of EventSource's own events. A page could not tell a topic's messages from them. */
const RESERVED = new Set(['message', 'open', 'error'])
const FORBIDDEN = /[\r\n\0]/
const LONGEST_ID = 256
// All characters below space, and DEL.
// eslint-disable-next-line no-control-regex
const CONTROL = /[\0-\x1f\x7f]/

/**
 * @param infoEvent The name of info messages.
 * @throws TopicNameError if `name` can't be a topic's. The broker is not asked.
 */
export function checkTopicName(
  name: unknown,
  maxLength: number,
  infoEvent = 'message',
): asserts name is string {
  if (typeof name !== 'string') {
    throw new TopicNameError(`A topic's name is a string; this is ${describe(name)}.`)
  }
  if (name === '') throw new TopicNameError(`A topic's name has at least one character.`)
  if (RESERVED.has(name)) {
    throw new TopicNameError(
      `${quote(name)} can't be a topic: EventSource uses it for events of its own. ` +
        'Choose another name.',
    )
  }
  if (name === CONNECTION_EVENT || name === infoEvent) {
    const use =
      name === infoEvent ? 'info messages have it (infoEvent)' : 'streams use it themselves'
    throw new TopicNameError(`${quote(name)} can't be a topic: ${use}. Choose another name.`)
  }
  if (FORBIDDEN.test(name)) {
    throw new TopicNameError(`A topic's name can't hold CR, LF or NUL: ${quote(name)}.`)
  }
  const length = Buffer.byteLength(name)
  if (length > maxLength) {
    throw new TopicNameError(
      `A topic's name has at most ${maxLength} bytes in UTF-8 (maxTopicLength); this has ${length}.`,
    )
  }
  if (!name.isWellFormed()) {
    throw new TopicNameError(
      `A topic's name is well-formed Unicode; this has half of a surrogate pair: ${quote(name)}.`,
    )
  }
}

/** What the random id of a client begins with that goes with its connection. */
const TRANSIENT = 'auto-'

/** The id of a client that goes with its connection. Every server can tell it by its name. */
export function transientId(id: string): string {
  return TRANSIENT + id
}

export function isTransientId(id: string): boolean {
  return id.startsWith(TRANSIENT)
}

/**
 * Checks the topics that one request names. How many they are comes first, which costs nothing.
 *
 * @throws TooManyTopicsError if they are more than a client may have; TopicNameError.
 */
export function checkTopicNames(
  names: readonly unknown[],
  limits: { maxTopics: number; maxTopicLength: number; infoEvent: string },
): asserts names is readonly string[] {
  const { maxTopics, maxTopicLength, infoEvent } = limits
  if (names.length > maxTopics) throw new TooManyTopicsError(maxTopics, names.length)
  for (const name of names) checkTopicName(name, maxTopicLength, infoEvent)
}

/** @throws ClientIdError if `id` can't be a client's. */
export function checkClientId(id: unknown): asserts id is string {
  if (typeof id !== 'string') {
    throw new ClientIdError(`A client's id is a string; this is ${describe(id)}.`)
  }
  if (!isClientId(id)) {
    throw new ClientIdError(
      `A client's id has 1 to ${LONGEST_ID} characters, none of them a control character.`,
    )
  }
}

/** Whether this can be a client's id. */
export function isClientId(id: unknown): id is string {
  if (typeof id !== 'string' || !id.isWellFormed()) return false
  return id !== '' && id.length <= LONGEST_ID && !CONTROL.test(id)
}

function describe(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : typeof value
}

/** @throws ClientIdError for an id that is no text, and so no client's. */
export function checkIdsType(id: unknown): void {
  if (typeof id !== 'string') checkClientId(id)
}
