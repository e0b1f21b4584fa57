import { ClientIdError, TopicNameError } from '../errors.js'

/** Names of EventSource's own events. A page could not tell a topic's messages from them. */
const RESERVED = new Set(['message', 'open', 'error'])
const FORBIDDEN = /[\r\n\0]/
const LONGEST_ID = 256
// All characters below space, and DEL.
// eslint-disable-next-line no-control-regex
const CONTROL = /[\0-\x1f\x7f]/

/** @throws TopicNameError if `name` can't be a topic's. The broker is not asked. */
export function checkTopicName(name: unknown, maxLength: number): asserts name is string {
  if (typeof name !== 'string') {
    throw new TopicNameError(`A topic's name is a string; this is ${describe(name)}.`)
  }
  if (name === '') throw new TopicNameError(`A topic's name has at least one character.`)
  if (RESERVED.has(name)) {
    throw new TopicNameError(
      `${JSON.stringify(name)} can't be a topic: EventSource uses it for events of its own. ` +
        'Choose another name.',
    )
  }
  if (FORBIDDEN.test(name)) {
    throw new TopicNameError(`A topic's name can't hold CR, LF or NUL: ${JSON.stringify(name)}.`)
  }
  const length = Buffer.byteLength(name)
  if (length > maxLength) {
    throw new TopicNameError(
      `A topic's name has at most ${maxLength} bytes in UTF-8 (maxTopicLength); this has ${length}.`,
    )
  }
  if (!name.isWellFormed()) {
    throw new TopicNameError(
      `A topic's name is well-formed Unicode; this has half of a surrogate pair: ${JSON.stringify(name)}.`,
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

/** @throws ClientIdError if `id` can't be a client's. */
export function checkClientId(id: unknown): asserts id is string {
  if (typeof id !== 'string') {
    throw new ClientIdError(`A client's id is a string; this is ${describe(id)}.`)
  }
  if (id === '' || id.length > LONGEST_ID || CONTROL.test(id) || !id.isWellFormed()) {
    throw new ClientIdError(
      `A client's id has 1 to ${LONGEST_ID} characters, none of them a control character.`,
    )
  }
}

function describe(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : typeof value
}
