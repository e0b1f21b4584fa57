import { OptionsError } from './errors.js'
import type { OptionTable } from './option-checks.js'
import { callback, checkOptions, number, refuse } from './option-checks.js'
import { TopicPattern } from './topic-patterns.js'

/** A message as the callbacks of `topics` are given it: text, or bytes where the driver sends base64. */
// A method's type, so that a function may take text only.
type OfMessage<T> = { ask(payload: string & Uint8Array): T }['ask']

/** Names the key of a message, such as a ticker's symbol. */
export type KeyOf = OfMessage<string>

/** Whether a message is the last one of its topic. */
export type EndsWith = OfMessage<boolean>

/** A client as the option `filter` is given it: a `Client` has more. */
export interface TopicClient {
  readonly id: string
  readonly owner: string | undefined
  readonly labels: Readonly<Record<string, string>>
}

/** Whether a client is sent a message. */
export type TopicFilter = {
  ask(client: TopicClient, message: string & Uint8Array): boolean
}['ask']

/** What a topic keeps, for one kind of topics: an entry of the option `topics`. */
export interface TopicOptions {
  /**
   * For which topics: a pattern as `authorize: patterns(…)` takes it, without claims, or several. Dots
   * divide it, and `*` matches any one plain segment. The first entry that matches a topic counts.
   */
  match: string | readonly string[]
  /**
   * The last values, which a client is sent when it subscribes: this many messages, or with `by` the
   * newest of each key. They outlive `history.maxAge`, and the topic stays open on the broker. Default: 0,
   * none. Infinity: as many as `maxRetainedBytes` has room for.
   */
  retain?: number | { by: KeyOf }
  /** How long such a topic without subscribers stays open, in milliseconds. Default: `topicLinger`. */
  linger?: number
  /** The most bytes of such a topic in the history. Default: `history.maxBytesPerTopic`. */
  maxBytes?: number
  /** How long its messages are kept for who is away, in milliseconds. Default: `history.maxAge`. */
  maxAge?: number
  /**
   * Whether a message is the topic's last one. Behind it, clients get `{"end":{"topic":…}}` and are
   * unsubscribed; who subscribes later gets what is retained and the end. Default: none is.
   */
  end?: EndsWith
  /**
   * Whether a client is sent a message; it answers at once. What it says no to is skipped, which is no
   * loss. It is asked for each client and message. Where it fails, the client is not sent the message.
   * Default: everybody is sent everything.
   */
  filter?: TopicFilter
  /**
   * A client that is behind gets only the newest message of each key (`by`), or of the topic (`true`, and
   * without `by`). What it skips is no loss. Who keeps up gets everything. With `asked: true` only
   * clients that ask for it by `?conflate=1`. With `interval` a client is written to at most once in so
   * many milliseconds, whether it keeps up or not; 0, its default: as messages come. Default: nobody
   * skips anything.
   */
  conflate?: boolean | { by?: KeyOf; asked?: boolean; interval?: number }
}

const INTERVAL = number(0, 2 ** 31 - 1)

const TOPIC_OPTIONS: OptionTable = {
  match: [
    (value) =>
      isPattern(value) || (Array.isArray(value) && value.length > 0 && value.every(isPattern)),
    'a pattern such as "orders.*", or a list of them',
    { given: true },
  ],
  retain: [
    (value) =>
      (typeof value === 'number' &&
        (value === Infinity || (Number.isInteger(value) && value >= 0))) ||
      isKeyed(value, ['by']),
    'a whole number from 0, Infinity, or { by: a function from a message to its key }',
  ],
  conflate: [
    isConflate,
    'true, false, or { by: a function from a message to its key, asked: true or false, interval: milliseconds }',
  ],
  linger: number(0, 2 ** 31 - 1),
  maxBytes: number(1, Number.MAX_SAFE_INTEGER),
  maxAge: number(1, 2 ** 31 - 1),
  end: callback('a function from a message to true or false'),
  filter: callback('a function from a client and a message to true or false'),
}

/** An entry of `topics` that is checked. */
export interface TopicRule extends TopicOptions {
  readonly patterns: readonly TopicPattern[]
}

/**
 * Checks the option `topics`.
 *
 * @param faultOf What keeps a text from being a topic's name, or undefined.
 * @throws OptionsError
 */
export function topicRulesFrom(
  topics: unknown,
  faultOf: (name: string) => string | undefined,
): TopicRule[] {
  if (topics === undefined) return []
  if (!Array.isArray(topics)) {
    refuse(
      'Streamer',
      'topics',
      topics,
      'a list of objects such as { match: "orders.*", retain: 1 }',
    )
  }
  const before: TopicPattern[] = []
  return topics.map((entry: unknown, index) => {
    const where = `Streamer: topics[${index}]`
    checkOptions(where, entry, TOPIC_OPTIONS)
    const options = entry as TopicOptions
    if (options.match === undefined) refuse(where, 'match', undefined, TOPIC_OPTIONS['match']![1])
    const patterns = [options.match].flat().map((text) => new TopicPattern(text))
    for (const pattern of patterns) {
      const earlier = before.find((other) => other.covers(pattern))
      const fault =
        pattern.fault ??
        faultOf(pattern.example) ??
        (earlier && `${JSON.stringify(earlier.text)} stands before it and takes all its topics`)
      if (fault !== undefined) {
        throw new OptionsError(
          `${where}: match ${JSON.stringify(pattern.text)} matches no topic: ${fault}. ` +
            'Dots divide a pattern, and * matches any one segment.',
        )
      }
      before.push(pattern)
    }
    return { ...options, patterns }
  })
}

function isPattern(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isConflate(value: unknown): boolean {
  if (typeof value === 'boolean') return true
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const { by, asked, interval = 0, ...more } = value as Record<string, unknown>
  return (
    Object.keys(more).length === 0 &&
    (by === undefined || typeof by === 'function') &&
    (asked === undefined || typeof asked === 'boolean') &&
    INTERVAL[0](interval)
  )
}

/** Whether this is an object with these functions and nothing else. */
function isKeyed(value: unknown, names: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const keys = Object.keys(value)
  return (
    keys.length === names.length &&
    names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
  )
}
