import type { SpecialNames } from '../../driver-kit/topic-kind.js'
import { hasWord } from '../../driver-kit/topic-kind.js'
import { TopicNameError } from '../../errors.js'

/** A server takes 4,096 bytes for a whole command; this leaves room for the rest of it. */
const MAX_SUBJECT_BYTES = 4_000

/**
 * The subject that a topic is read from.
 *
 * @throws TopicNameError for one that NATS can't have.
 */
export function toSubject(topic: string, address: (topic: string) => string): string {
  const subject: unknown = address(topic)
  const rule = brokenRule(subject)
  if (!rule) return subject as string
  const name = JSON.stringify(topic)?.slice(0, 100)
  const what =
    subject === topic ? name : `${name}, read from ${JSON.stringify(subject)?.slice(0, 100)},`
  throw new TopicNameError(`Topic ${what} can't be read from NATS: ${rule}.`)
}

/**
 * The rule that a subject breaks. A bad subject would break the connection, since it stands in the text
 * of a command; with a space in it, version 2 of the library would even join a queue group.
 */
function brokenRule(subject: unknown): string | undefined {
  if (typeof subject !== 'string') return 'a subject is a string'
  if (subject === '') return 'a subject is not empty'
  if (/[\s\p{Cc}\p{Cs}]/u.test(subject)) {
    return 'a subject has no white space, control characters or lone surrogates'
  }
  const tokens = subject.split('.')
  if (tokens.includes('')) {
    return 'a subject is made of tokens with single dots between them, none of them empty'
  }
  if (tokens.indexOf('>') !== -1 && tokens.indexOf('>') !== tokens.length - 1) {
    return 'the wildcard > stands only at the end of a subject'
  }
  if (Buffer.byteLength(subject) > MAX_SUBJECT_BYTES) {
    return `a subject has at most ${MAX_SUBJECT_BYTES} bytes`
  }
  return undefined
}

/**
 * Subjects that mean more than one topic. Names that begin with `$` are the server's (`$SYS`, `$JS`, `$KV`,
 * `$O`), `_INBOX` and its like carry answers, and `unifrost.` carries what servers ask each other. A
 * wildcard in the first place covers all of them, so `>` and `*.x` are internal, too.
 */
export const SPECIAL_SUBJECTS: SpecialNames = {
  wildcard: (subject) => hasWord(subject, '*', '>'),
  internal: (subject) => /^(\$|_[A-Z]|unifrost\.|[*>](\.|$))/.test(subject),
}
