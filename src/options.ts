import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { answerOf } from './callbacks.js'
import type { Clock } from './clock.js'
import { systemClock } from './clock.js'
import type { Directory } from './directory.js'
import { OptionsError } from './errors.js'
import { faultOfEventName } from './event-names.js'
import type { OptionTable } from './option-checks.js'
import {
  callback,
  checkOptions,
  count,
  given,
  isRecord,
  methods,
  number,
  oneOf,
  shape,
} from './option-checks.js'
import type { Allowance } from './allowance.js'
import type { TopicOptions } from './topic-options.js'

/** The methods that a Streamer calls on a logger. Pino and most other loggers have them. */
export interface Logger {
  debug(details: object, message: string): void
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}

/** What `authorize` is asked for, beside the principal and the topic. */
export interface Asked {
  readonly client: { readonly id: string; readonly owner: string | undefined } | undefined
  /**
   * The request that the client came with last: the framework's, or Node's with `streamer.handle`.
   * Undefined while this server has seen none of this client.
   */
  readonly request: unknown
}

/**
 * Whether the user may have a topic. Only `true` and `{ since }` allow it. A method's type, so that a function may
 * name the principal's own type.
 */
export type Authorize = {
  ask(principal: unknown, topic: string, asked: Asked): Allowance | Promise<Allowance>
}['ask']

/** Options of a Streamer. Each may be left out. Durations are in milliseconds. */
export interface StreamerOptions {
  /**
   * How long a client lives without a connection: from its creation until it first connects, and
   * after each disconnection. A client that reconnects in time gets every message that it missed;
   * after this time the server no longer knows its id. Default: 60,000.
   */
  clientTTL?: number
  /** Bounds of the history: the messages kept for clients that are disconnected or slow. */
  history?: {
    /** Bytes of all topics' messages, overhead included. Default: 64 MiB. */
    maxBytes?: number
    /** Bytes of one topic, so that a busy one can't push out the rest. Default: `maxBytes` / 8. */
    maxBytesPerTopic?: number
    /**
     * How long a message is kept. It should be longer than `clientTTL`: the server notices a dead
     * connection late, so the browser resumes from an older position. An example: the link dies at
     * 0 s, the server notices it at 50 s, and the client returns 55 s later. It then needs messages
     * of 105 s. Default: `clientTTL` + 60,000.
     */
    maxAge?: number
  }
  /**
   * What topics keep, by their names: see {@link TopicOptions}. Default: none keeps anything beside the
   * history.
   */
  topics?: readonly TopicOptions[]
  /**
   * The most bytes of the last values that `topics` retains, overhead included, beside the history; one
   * topic may have a quarter. What is over is let go, and who subscribes is told `messages-lost` behind
   * the values. Infinity: no limit. Default: `history.maxBytes` / 4.
   */
  maxRetainedBytes?: number
  /**
   * How long a topic without subscribers stays open on the broker, so that reloading a page does
   * not close and reopen it. Default: 5,000. 0 closes it at once.
   */
  topicLinger?: number
  /**
   * After how long the server closes a connection that has bytes waiting and accepts none. The
   * client's TTL then starts. Default: 30,000.
   */
  slowClientTimeout?: number
  /**
   * What the server sends on a quiet stream, so that proxies keep it open: a `comment`, which a
   * page does not see, or the `message` `{"heartbeat":true}`, which tells a page that the
   * connection is alive. Default: `comment`.
   */
  heartbeat?: 'comment' | 'message'
  /**
   * The event name of info messages: the first message, errors, heartbeats, the goodbye. A page whose
   * `onmessage` is for its own messages gives one, such as `unifrost`; no topic may have it. Default:
   * `message`.
   */
  infoEvent?: string
  /** How often it is sent. Default: 25,000; proxies close at 60,000 or later. 0: never. */
  heartbeatInterval?: number
  /**
   * After how long the server ends a connection; the browser reconnects and resumes. Use it behind
   * a proxy that keeps reading after the browser has gone. Each connection gets up to a tenth less,
   * at random. Default: 0, never.
   */
  maxConnectionAge?: number
  /**
   * Whether a user may have a topic. Only `true` allows it. It is asked for each topic of every client,
   * also those that the application itself has subscribed: when a request names the topic, each time
   * the client opens a stream, by `streamer.recheck`, and as often as `recheck` says. A topic that is
   * not allowed any more is taken from the client, which gets `forbidden-topic` in its place.
   *
   * `principal` is the middleware's, as for the middleware's own `authorize`; with `streamer.handle`
   * its option `principal`, else its `owner`. Default: the topics are the application's to decide, and
   * only the middleware's `authorize` is asked again, for the topics that it has allowed.
   */
  authorize?: Authorize
  /**
   * How often the topics of an open stream are asked for again, in milliseconds. Each time comes up to a
   * half earlier, at random. An `authorize` that throws an `AuthenticationError` then says that the
   * log-in is over: the stream ends as with an expired token. Default: 0, never. It takes 100 or more.
   */
  recheck?: number
  /** How messages are gathered, so that several cost a connection one write. */
  batch?: {
    /**
     * How long a message may wait for more, so that all are written together: for every topic, or a
     * function from a topic to its own. When one message has waited so long, everything is written. An
     * example: with 50, a ticker of 100 messages a second is written 20 times a second, five at once.
     * From 0 to 60,000. Default: 0, so that what comes in one turn of the event loop goes out at its end.
     */
    maxDelay?: number | ((topic: string) => number)
  }
  /**
   * The most bytes of memory that connections keep together whose peers accept no bytes, kernel
   * buffers aside: the messages at which they stalled. Beyond it, those that stalled first are
   * ended as `slow`; they resume as after `slowClientTimeout`. Infinity: no limit. Default:
   * `history.maxBytes`.
   */
  maxStalledBytes?: number
  /**
   * The most bytes of one message, as the broker sends it. In the place of a larger one, clients
   * get `messages-lost`. Infinity: no limit. Default: 8 MiB.
   */
  maxMessageBytes?: number
  /** The most topics of one client, and the most names in one request. Default: 256. */
  maxTopics?: number
  /** The most bytes of a topic's name, in UTF-8. Default: 1,024. */
  maxTopicLength?: number
  /**
   * The most topics that are open on the broker, with subscribers or lingering. For one more, the
   * topic that has lingered longest is closed; where none lingers, the request gets 503. Infinity:
   * no limit. Default: 100,000, or twice `maxClients` × `maxTopics` where that is less.
   */
  maxOpenTopics?: number
  /**
   * The most open topics that one owner's clients have opened; more get 429, as with
   * `maxOpenTopics`. Infinity: no limit. Default: twice `maxConnectionsPerOwner` × `maxTopics`, so
   * Infinity where that is not set.
   */
  maxOpenTopicsPerOwner?: number
  /**
   * The same for the clients without an owner that one network address has made. Default: twice
   * `maxConnectionsPerAddress` × `maxTopics`, so Infinity where that is not set.
   */
  maxOpenTopicsPerAddress?: number
  /** The most clients of this server, connected or not; more get 503. Default: Infinity. */
  maxClients?: number
  /**
   * The most clients of one owner, connected or not; more get 429. Infinity: no limit. Default: 16
   * for each of `maxConnectionsPerOwner`, so Infinity where that is not set.
   */
  maxClientsPerOwner?: number
  /**
   * The most clients without an owner that one network address has made, connected or not; more get
   * 429. Infinity: no limit. Default: 16 for each of `maxConnectionsPerAddress`, so Infinity where
   * that is not set.
   */
  maxClientsPerAddress?: number
  /**
   * The most calls of `authorize` that run at once, over all requests; further ones wait. Infinity:
   * no limit. Default: 256.
   */
  maxAuthorizeCalls?: number
  /** The most open streams of one owner; more get 429. Default: Infinity. */
  maxConnectionsPerOwner?: number
  /**
   * The most open streams of one network address; more get 429. Behind a proxy, set the framework's
   * own option so that it knows the address: Express's `trust proxy`, Koa's `app.proxy`.
   * Default: Infinity.
   */
  maxConnectionsPerAddress?: number
  /**
   * How many bits of an IPv6 address count as the address, from 1 to 128, since one user has a whole
   * network of them. Default: 64. 128 counts each address by itself.
   */
  ipv6Prefix?: number
  /**
   * Bounds of the time that a browser waits before it reconnects. The server picks it at random, so
   * that not all browsers come back at once. Default: 2,000 to 5,000.
   */
  retry?: { min?: number; max?: number }
  /**
   * What positions are signed with, so that a request can't make one up: a text of 32 bytes or more,
   * the same on all servers that read one log. Default: what the driver's log has for it; without a
   * log, a random one.
   */
  secret?: string
  /**
   * How far back a position reaches that a request names where the client had no such topic yet: with
   * `Last-Event-ID` or `?after=` on an automatic client, and `after` of `POST /subscriptions`. A number
   * says how long ago it may have been given out, in milliseconds; `{ time, messages }` also how many
   * messages of a topic it may bring at the most. Beyond it, the client is told `messages-lost`.
   * Infinity: no limit. Default: for `time`, `history.maxAge` + `heartbeatInterval` + `clientTTL` with a
   * driver that has a log, else Infinity, since the history bounds it; for `messages`, Infinity.
   */
  maxResume?: number | { time?: number; messages?: number }
  /**
   * How a browser's EventSource is refused for what passes by itself (429, 502, 503, 504), such as a
   * broker that is away. `stream`: by a stream that says so and ends, so that the browser comes back
   * after `retry`; any status would end the EventSource for good. `status`: as everybody else, so
   * that a load balancer can ask the next server. Default: `stream`.
   */
  passingRefusals?: 'stream' | 'status'
  /**
   * Where servers share their clients, so that a client can reconnect to any of them, such as
   * `redisDirectory(url)`. The Streamer closes it. Default: clients exist in this process only.
   */
  directory?: Directory
  /**
   * This server's name in errors and logs: 1 to 64 letters, digits, `-` or `_`. The Streamer
   * appends random digits. Default: the host's name.
   */
  server?: string
  /**
   * How long this server waits for another server's answer, for instance when it takes over a
   * client. Default: 1,000.
   */
  takeoverTimeout?: number
  /**
   * After how long without the directory this server ends its streams, so that their clients
   * reconnect to a server that reaches it. Default: 0, never.
   */
  maxDirectoryOutage?: number
  /** A logger, in pino's shape. Default: nothing is logged. */
  logger?: Logger
  /** The clock and its timers. Default: the process's monotonic clock. */
  clock?: Clock
  /** Returns numbers from 0 up to 1, for jitter. Default: `Math.random`. */
  random?: () => number
  /**
   * Makes the ids of new clients. An id gives access to its client, so it must be hard to guess.
   * Default: `crypto.randomUUID`.
   */
  newId?: () => string
}

/** A Streamer's options with all defaults filled in. */
export interface Settings {
  authorize: Authorize | undefined
  recheck: number
  clientTTL: number
  history: { maxBytes: number; maxBytesPerTopic: number; maxAge: number }
  topics: readonly TopicOptions[]
  maxRetainedBytes: number
  topicLinger: number
  slowClientTimeout: number
  heartbeat: 'comment' | 'message'
  heartbeatInterval: number
  infoEvent: string
  maxConnectionAge: number
  /** How long a topic's messages may wait to be written together. */
  delayOf: (topic: string) => number
  maxStalledBytes: number
  maxMessageBytes: number
  maxTopics: number
  maxTopicLength: number
  maxOpenTopics: number
  maxOpenTopicsPerOwner: number
  maxOpenTopicsPerAddress: number
  maxClients: number
  maxClientsPerOwner: number
  maxClientsPerAddress: number
  maxAuthorizeCalls: number
  maxConnectionsPerOwner: number
  maxConnectionsPerAddress: number
  ipv6Prefix: number
  retry: { min: number; max: number }
  secret: string | undefined
  /** `time` is undefined where the default counts, which depends on the driver. */
  maxResume: { time: number | undefined; messages: number }
  passingRefusals: 'stream' | 'status'
  directory: Directory | undefined
  server: string
  takeoverTimeout: number
  maxDirectoryOutage: number
  logger: Logger
  clock: Clock
  random: () => number
  newId: () => string
}

const MINUTE = 60_000
const MEBIBYTE = 1024 * 1024
/** How many topics are open at once by default. */
const MOST_TOPICS = 100_000
/**
 * How many clients an owner or an address may have for each stream that it may have. A page that is
 * loaded again may leave one behind for `clientTTL`.
 */
const CLIENTS_PER_STREAM = 16
/** The longest time that a timer of Node's takes, about 24.8 days. */
const LONGEST = 2 ** 31 - 1

const ignore = () => undefined
const silent: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }

/** The longest `batch.maxDelay`, in milliseconds. */
const LONGEST_DELAY = 60_000
const DELAY = `a number from 0 to ${LONGEST_DELAY}`

function isDelay(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= LONGEST_DELAY
}

function isMaxResume(value: unknown): boolean {
  if (!isRecord(value)) return count(1)[0](value)
  const { time = Infinity, messages = Infinity, ...rest } = value
  return Object.keys(rest).length === 0 && count(1)[0](time) && count(1)[0](messages)
}

function maxResumeFrom(given: StreamerOptions['maxResume']): Settings['maxResume'] {
  const { time, messages = Infinity } = typeof given === 'number' ? { time: given } : (given ?? {})
  return { time, messages }
}

/** @returns a function that may throw a CallbackError, where the application gave one. */
function delayFrom(maxDelay: number | ((topic: string) => number)): (topic: string) => number {
  if (typeof maxDelay === 'number') return () => maxDelay
  return (topic) => answerOf('batch.maxDelay', () => maxDelay(topic), isDelay, DELAY)
}

/** What each option of a Streamer takes. */
export const STREAMER_OPTIONS = {
  clientTTL: number(1, LONGEST),
  history: shape({
    maxBytes: number(1, Number.MAX_SAFE_INTEGER),
    maxBytesPerTopic: number(1, Number.MAX_SAFE_INTEGER),
    maxAge: number(1, LONGEST),
  }),
  topics: [Array.isArray, 'a list of objects such as { match: "orders.*", retain: 1 }'],
  maxRetainedBytes: count(1),
  topicLinger: number(0, LONGEST),
  slowClientTimeout: number(1, LONGEST),
  heartbeat: oneOf('comment', 'message'),
  heartbeatInterval: number(0, LONGEST),
  infoEvent: [
    (value) => faultOfEventName(value) === undefined,
    'the name of an event, which is not open, error or unifrost-connection',
  ],
  maxConnectionAge: number(0, LONGEST),
  authorize: given(callback('a function from a user and a topic to true or false')),
  recheck: [
    (value) => value === 0 || (typeof value === 'number' && value >= 100 && value <= LONGEST),
    `0 for never, or a number from 100 to ${LONGEST}`,
  ],
  batch: shape({
    maxDelay: [
      (value) => isDelay(value) || typeof value === 'function',
      `${DELAY}, or a function from a topic to one`,
    ],
  }),
  maxStalledBytes: count(1),
  maxMessageBytes: count(1),
  maxTopics: count(1),
  maxTopicLength: count(1),
  maxOpenTopics: count(1),
  maxOpenTopicsPerOwner: count(1),
  maxOpenTopicsPerAddress: count(1),
  maxClients: count(1),
  maxClientsPerOwner: count(1),
  maxClientsPerAddress: count(1),
  maxAuthorizeCalls: count(1),
  maxConnectionsPerOwner: count(1),
  maxConnectionsPerAddress: count(1),
  ipv6Prefix: count(1, 128),
  retry: shape({ min: number(0, LONGEST), max: number(0, LONGEST) }),
  secret: [
    (value) => typeof value === 'string' && Buffer.byteLength(value) >= 32,
    'a text of 32 bytes or more that only the servers know',
    { given: true, hidden: true },
  ],
  maxResume: [
    isMaxResume,
    'milliseconds from 1, or { time, messages } with milliseconds and a whole number, from 1; Infinity: no limit',
  ],
  passingRefusals: oneOf('stream', 'status'),
  directory: methods('open', 'get', 'put', 'delete', 'idsOf', 'servers', 'ask', 'close'),
  server: [
    (value) => typeof value === 'string' && /^[\w-]{1,64}$/.test(value),
    '1 to 64 letters, digits, - or _',
  ],
  takeoverTimeout: number(1, LONGEST),
  maxDirectoryOutage: number(0, LONGEST),
  logger: methods('debug', 'info', 'warn', 'error'),
  clock: methods('now', 'setTimeout', 'clearTimeout'),
  random: callback(),
  newId: callback(),
} satisfies Record<keyof StreamerOptions, OptionTable[string]>

/** Checks the options of a Streamer and fills in the defaults. @throws OptionsError */
export function settingsFrom(options: StreamerOptions = {}): Settings {
  checkOptions('Streamer', options, STREAMER_OPTIONS)
  checkTogether(options)
  if (options.clock !== undefined) checkClock(options.clock)
  const clientTTL = options.clientTTL ?? MINUTE
  const maxBytes = options.history?.maxBytes ?? 64 * MEBIBYTE
  const retry = { min: options.retry?.min ?? 2_000, max: options.retry?.max ?? 5_000 }
  if (options.retry?.min !== undefined && options.retry.max === undefined) {
    retry.max = Math.max(retry.max, retry.min)
  } else if (options.retry?.max !== undefined && options.retry.min === undefined) {
    retry.min = Math.min(retry.min, retry.max)
  }
  if (retry.min > retry.max) {
    throw new OptionsError(`retry.min (${retry.min}) is above retry.max (${retry.max}).`)
  }
  return {
    authorize: options.authorize,
    recheck: options.recheck ?? 0,
    clientTTL,
    history: {
      maxBytes,
      maxBytesPerTopic: options.history?.maxBytesPerTopic ?? Math.ceil(maxBytes / 8),
      maxAge: options.history?.maxAge ?? Math.min(clientTTL + MINUTE, LONGEST),
    },
    topics: options.topics ?? [],
    maxRetainedBytes: options.maxRetainedBytes ?? Math.ceil(maxBytes / 4),
    topicLinger: options.topicLinger ?? 5_000,
    slowClientTimeout: options.slowClientTimeout ?? 30_000,
    heartbeat: options.heartbeat ?? 'comment',
    heartbeatInterval: options.heartbeatInterval ?? 25_000,
    infoEvent: options.infoEvent ?? 'message',
    maxConnectionAge: options.maxConnectionAge ?? 0,
    delayOf: delayFrom(options.batch?.maxDelay ?? 0),
    maxStalledBytes: options.maxStalledBytes ?? maxBytes,
    maxMessageBytes: options.maxMessageBytes ?? 8 * MEBIBYTE,
    maxTopicLength: options.maxTopicLength ?? 1_024,
    ...limitsFrom(options),
    maxAuthorizeCalls: options.maxAuthorizeCalls ?? 256,
    ipv6Prefix: options.ipv6Prefix ?? 64,
    retry,
    secret: options.secret,
    maxResume: maxResumeFrom(options.maxResume),
    passingRefusals: options.passingRefusals ?? 'stream',
    directory: options.directory,
    server:
      options.server ??
      (hostname()
        .replace(/[^\w-]/g, '-')
        .slice(0, 64) ||
        'server'),
    takeoverTimeout: options.takeoverTimeout ?? 1_000,
    maxDirectoryOutage: options.maxDirectoryOutage ?? 0,
    logger: options.logger ?? silent,
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
    newId: options.newId ?? randomUUID,
  }
}

/** The options that may be changed while a Streamer runs, by `setLimits`. */
export const LIMITS = [
  ...(['maxTopics', 'maxClients', 'maxClientsPerOwner', 'maxClientsPerAddress'] as const),
  ...(['maxConnectionsPerOwner', 'maxConnectionsPerAddress'] as const),
  ...(['maxOpenTopics', 'maxOpenTopicsPerOwner', 'maxOpenTopicsPerAddress'] as const),
]

/** The limits of clients, streams and topics. */
export type Limits = Pick<StreamerOptions, (typeof LIMITS)[number]>

/** What each limit takes. */
export const LIMIT_OPTIONS: OptionTable = Object.fromEntries(
  Object.entries(STREAMER_OPTIONS).filter(([name]) => (LIMITS as readonly string[]).includes(name)),
)

/** The limits of clients, streams and topics: those that are not given follow from others. */
export function limitsFrom(options: Limits) {
  const {
    maxTopics = 256,
    maxClients = Infinity,
    maxConnectionsPerOwner = Infinity,
    maxConnectionsPerAddress = Infinity,
  } = options
  // The topics of all streams, and as many again for clients that may come back to them.
  const topicsOf = (streams: number) => 2 * streams * maxTopics
  return {
    ...{ maxTopics, maxClients, maxConnectionsPerOwner, maxConnectionsPerAddress },
    maxOpenTopics: options.maxOpenTopics ?? Math.min(MOST_TOPICS, topicsOf(maxClients)),
    maxOpenTopicsPerOwner: options.maxOpenTopicsPerOwner ?? topicsOf(maxConnectionsPerOwner),
    maxOpenTopicsPerAddress: options.maxOpenTopicsPerAddress ?? topicsOf(maxConnectionsPerAddress),
    maxClientsPerOwner: options.maxClientsPerOwner ?? CLIENTS_PER_STREAM * maxConnectionsPerOwner,
    maxClientsPerAddress:
      options.maxClientsPerAddress ?? CLIENTS_PER_STREAM * maxConnectionsPerAddress,
  }
}

/** Options of which one takes away what the other gives. @throws OptionsError */
function checkTogether({ history, directory, ...options }: StreamerOptions): void {
  const { maxBytes = 64 * MEBIBYTE, maxBytesPerTopic = 0 } = history ?? {}
  if (maxBytesPerTopic > maxBytes) {
    throw new OptionsError(
      `Streamer: history.maxBytesPerTopic (${maxBytesPerTopic}) is above history.maxBytes (${maxBytes}).`,
    )
  }
  for (const name of ['takeoverTimeout', 'maxDirectoryOutage'] as const) {
    if (directory === undefined && options[name] !== undefined) {
      throw new OptionsError(`Streamer: ${name} is for a directory, and none is given.`)
    }
  }
}

/** A clock that gives no number would stop all timers in silence. */
function checkClock(clock: Clock): void {
  try {
    answerOf('clock.now', () => clock.now(), Number.isFinite, 'a number of milliseconds')
  } catch (error) {
    throw new OptionsError(`Streamer: ${(error as Error).message}`, { cause: error })
  }
}
