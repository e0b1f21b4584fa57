import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { Clock } from './clock.js'
import { systemClock } from './clock.js'
import type { Directory } from './directory.js'
import { OptionsError } from './errors.js'

/** The methods of a logger that are used: pino's, and those of most others. */
export interface Logger {
  debug(details: object, message: string): void
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}

/** What a Streamer takes. Every option may be left out. Durations are in milliseconds. */
export interface StreamerOptions {
  /**
   * How long a client lives without a connection: from its creation until it first connects,
   * and from each disconnection. Inside it, its state is unchanged and nothing is missed;
   * after it, its id is unknown. Default: 60,000.
   */
  clientTTL?: number
  /** How much is kept for clients that are away or slow. */
  history?: {
    /** Bytes over all topics, each frame counted with its overhead. Default: 64 MiB. */
    maxBytes?: number
    /** Bytes of any one topic, so that a loud one can't push out the rest. Default: an eighth. */
    maxBytesPerTopic?: number
    /**
     * How long a frame is kept. Longer than `clientTTL`, since a dead link is noticed late, and
     * its browser comes back with an older position. Default: `clientTTL` plus 60,000.
     */
    maxAge?: number
  }
  /**
   * How long a topic that nobody is subscribed to stays open on the broker, so that a reload
   * of a page does not tear it down. Default: 5,000. 0 closes it at once.
   */
  topicLinger?: number
  /**
   * How long a connection may take nothing, with bytes waiting for it, before it is closed.
   * The client's TTL then starts. Default: 30,000.
   */
  slowClientTimeout?: number
  /**
   * What keeps proxies from closing a quiet stream: a `comment`, which only they see, or a
   * `message` `{"heartbeat":true}`, which pages can watch for to notice a dead link.
   * Default: `comment`.
   */
  heartbeat?: 'comment' | 'message'
  /** How often. Default: 25,000, since proxies cut at 60,000 and more. 0 turns it off. */
  heartbeatInterval?: number
  /**
   * After how long a connection is ended politely; its browser comes back at once and goes on
   * where it was. For proxies that acknowledge on behalf of peers that are gone. Shortened by
   * up to a tenth at random. Default: 0, never.
   */
  maxConnectionAge?: number
  /** How many topics a client may have. Default: 256. */
  maxTopics?: number
  /** How many bytes a topic's name may have in UTF-8. Default: 1,024. */
  maxTopicLength?: number
  /** How many clients there may be, connected or not. Default: Infinity. */
  maxClients?: number
  /** How many streams may be open for one owner; more get 429. Default: Infinity. */
  maxConnectionsPerOwner?: number
  /**
   * How many streams may be open for one network address; more get 429. Behind a proxy the
   * framework's own setting says what the address is: Express's `trust proxy`, Koa's `app.proxy`.
   * Default: Infinity.
   */
  maxConnectionsPerAddress?: number
  /**
   * Between which bounds a browser's waiting time before it connects again is chosen at random,
   * so that all do not come back at once. Default: 2,000 to 5,000.
   */
  retry?: { min?: number; max?: number }
  /**
   * Where clients are remembered, so that any of several servers can go on with them, such as
   * `redisDirectory(url)`. The Streamer closes it. Default: in this process only.
   */
  directory?: Directory
  /**
   * What this server is called in errors and logs, with something random behind it: 1 to 64
   * letters, digits, `-` or `_`. Default: the host's name.
   */
  server?: string
  /**
   * How long another server is waited for when a client comes from it to this one, and when it is
   * asked something. Default: 1,000.
   */
  takeoverTimeout?: number
  /**
   * After how long without the directory this server ends its streams, so that their clients can go
   * on at a server that is not cut off from it. Default: 0, never.
   */
  maxDirectoryOutage?: number
  /** Where to log, in pino's shape. Default: nowhere. */
  logger?: Logger
  /** Where time comes from. Default: the process's monotonic clock. */
  clock?: Clock
  /** Numbers from 0 up to 1, for jitter. Default: `Math.random`. */
  random?: () => number
  /** Makes the ids of new clients; they are capabilities, so they must be unguessable. Default: `crypto.randomUUID`. */
  newId?: () => string
}

/** Options with every default filled in. */
export interface Settings {
  clientTTL: number
  history: { maxBytes: number; maxBytesPerTopic: number; maxAge: number }
  topicLinger: number
  slowClientTimeout: number
  heartbeat: 'comment' | 'message'
  heartbeatInterval: number
  maxConnectionAge: number
  maxTopics: number
  maxTopicLength: number
  maxClients: number
  maxConnectionsPerOwner: number
  maxConnectionsPerAddress: number
  retry: { min: number; max: number }
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
/** The longest time that a timer of Node's takes, about 24.8 days. */
const LONGEST = 2 ** 31 - 1

const ignore = () => undefined
const silent: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }

type Check = (name: string, got: unknown) => void

/** Checks the options of a Streamer and fills in the defaults. @throws OptionsError */
export function settingsFrom(options: StreamerOptions = {}): Settings {
  checkShape('', options, {
    clientTTL: number(1, LONGEST),
    history: shape({
      maxBytes: number(1, Number.MAX_SAFE_INTEGER),
      maxBytesPerTopic: number(1, Number.MAX_SAFE_INTEGER),
      maxAge: number(1, LONGEST),
    }),
    topicLinger: number(0, LONGEST),
    slowClientTimeout: number(1, LONGEST),
    heartbeat: oneOf('comment', 'message'),
    heartbeatInterval: number(0, LONGEST),
    maxConnectionAge: number(0, LONGEST),
    maxTopics: count(1),
    maxTopicLength: count(1),
    maxClients: count(1),
    maxConnectionsPerOwner: count(1),
    maxConnectionsPerAddress: count(1),
    retry: shape({ min: number(0, LONGEST), max: number(0, LONGEST) }),
    directory: methods('open', 'get', 'put', 'delete', 'idsOf', 'servers', 'ask', 'close'),
    server: serverName,
    takeoverTimeout: number(1, LONGEST),
    maxDirectoryOutage: number(0, LONGEST),
    logger: methods('debug', 'info', 'warn', 'error'),
    clock: methods('now', 'setTimeout', 'clearTimeout'),
    random: functionCheck,
    newId: functionCheck,
  })
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
    clientTTL,
    history: {
      maxBytes,
      maxBytesPerTopic: options.history?.maxBytesPerTopic ?? Math.ceil(maxBytes / 8),
      maxAge: options.history?.maxAge ?? Math.min(clientTTL + MINUTE, LONGEST),
    },
    topicLinger: options.topicLinger ?? 5_000,
    slowClientTimeout: options.slowClientTimeout ?? 30_000,
    heartbeat: options.heartbeat ?? 'comment',
    heartbeatInterval: options.heartbeatInterval ?? 25_000,
    maxConnectionAge: options.maxConnectionAge ?? 0,
    maxTopics: options.maxTopics ?? 256,
    maxTopicLength: options.maxTopicLength ?? 1_024,
    maxClients: options.maxClients ?? Infinity,
    maxConnectionsPerOwner: options.maxConnectionsPerOwner ?? Infinity,
    maxConnectionsPerAddress: options.maxConnectionsPerAddress ?? Infinity,
    retry,
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

/** Checks an object's keys and values against a table. @throws OptionsError */
export function checkShape(prefix: string, got: unknown, table: Record<string, Check>): void {
  if (typeof got !== 'object' || got === null) refuse(prefix || 'options', got, 'an object')
  for (const [key, value] of Object.entries(got)) {
    const check = Object.hasOwn(table, key) ? table[key] : undefined
    if (check === undefined) {
      const known = Object.keys(table).join(', ')
      throw new OptionsError(`There is no option ${prefix}${key}. There are: ${known}.`)
    }
    if (value !== undefined) check(prefix + key, value)
  }
}

export function number(min: number, max: number): Check {
  return (name, got) => {
    if (typeof got === 'number' && got >= min && got <= max) return
    refuse(name, got, `a number from ${min} to ${max}`)
  }
}

function count(min: number): Check {
  return (name, got) => {
    if (typeof got === 'number' && got >= min && (Number.isInteger(got) || got === Infinity)) return
    refuse(name, got, `a whole number from ${min}, or Infinity`)
  }
}

function oneOf(...values: string[]): Check {
  return (name, got) => {
    if (values.includes(got as string)) return
    refuse(name, got, values.map((value) => JSON.stringify(value)).join(' or '))
  }
}

function shape(table: Record<string, Check>): Check {
  return (name, got) => checkShape(`${name}.`, got, table)
}

function methods(...names: string[]): Check {
  return (name, got) => {
    const object = got as Record<string, unknown> | null
    const fits = typeof object === 'object' && object !== null
    if (fits && names.every((method) => typeof object[method] === 'function')) return
    refuse(name, got, `an object with the methods ${names.join(', ')}`)
  }
}

const serverName: Check = (name, got) => {
  if (typeof got === 'string' && /^[\w-]{1,64}$/.test(got)) return
  refuse(name, got, '1 to 64 letters, digits, - or _')
}

const functionCheck: Check = (name, got) => {
  if (typeof got !== 'function') refuse(name, got, 'a function')
}

function refuse(name: string, got: unknown, takes: string): never {
  throw new OptionsError(`Option ${name.replace(/\.$/, '')} takes ${takes}; it got ${show(got)}.`)
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'an array' : 'an object'
  if (typeof value === 'function') return 'a function'
  return String(value)
}
