import type { ClientConfig, Message, PubSub } from '@google-cloud/pubsub'
import { setMaxListeners } from 'node:events'
import type { Driver, Sink, Subscription } from '../driver.js'
import { OptionsError } from '../errors.js'
import { PubSubLink } from './google-pubsub/link.js'
import { brokenRule, toSource } from './google-pubsub/names.js'
import { closedError, PubSubReader, unlessClosed } from './google-pubsub/reader.js'
import type { OptionCheck } from '../driver-kit/options.js'
import {
  checkDriverOptions,
  duration,
  encoding as encodingCheck,
  flag,
} from '../driver-kit/options.js'
import { loadPeer } from '../driver-kit/peer.js'
import type { RoutingOptions, SourceEvents } from '../driver-kit/sources.js'
import { routingChecks, Sources } from '../driver-kit/sources.js'

const DAY = 86_400_000

/** A connection to Google takes about a hundred streams at once, and leaves the rest waiting. */
const STREAMS = 90

/** A message as the library has it: `data`, `attributes`, `orderingKey`, `id`, `publishTime`. */
export type GooglePubSubMessage = Message

/** The library's own configuration: `projectId`, `credentials`, `keyFilename`, `apiEndpoint`, … */
export interface GooglePubSubConfig extends ClientConfig {
  /** `host:port` of an emulator. Default: `PUBSUB_EMULATOR_HOST`, as the library has it. */
  emulatorHost?: string
}

/** What `googlePubSubDriver` takes besides the client. Durations are in milliseconds. */
export interface GooglePubSubDriverOptions extends RoutingOptions<GooglePubSubMessage> {
  /** How payloads travel: see {@link Driver.encoding}. Default: `utf8`. */
  encoding?: 'utf8' | 'base64'
  /** How long the first contact may take, getting credentials included. Default: 5,000. */
  connectTimeout?: number
  /** How long Pub/Sub may take to make a subscription. Default: 5,000. */
  subscribeTimeout?: number
  /** How long closing waits until Pub/Sub has deleted what is ours. Default: 5,000. */
  closeTimeout?: number
  /**
   * How often it is seen whether Pub/Sub answers, and how long it may take to. A dead connection
   * is noticed within three of these, and what became of a subscription within six. Default:
   * 5,000.
   */
  heartbeat?: number
  /** After how long without a reader Pub/Sub deletes a subscription. Default: one day, the least. */
  expiration?: number
  /** How long Pub/Sub keeps what it could not deliver. Default: ten minutes, the least. */
  retention?: number
  /**
   * Whether a subscription goes on when its stream broke. Then nothing is lost, and what was on
   * its way comes as soon as its lease has run out, up to ten seconds later. If not, a new one is
   * made at once, with a gap. Default: true with Google, where ordering keys keep the order
   * even so; false with an emulator, which loses it.
   */
  resume?: boolean
  /** What the names of our subscriptions start with. Default: `unifrost`. */
  subscriptionPrefix?: string
  /**
   * How many of the broker's topics are read by one connection. Default: 90, since Google allows
   * a hundred streams; with an emulator, any number.
   */
  streamsPerConnection?: number
}

/** A driver on Google Pub/Sub. */
export interface GooglePubSubDriver extends Driver {
  /**
   * Connects now instead of with the first topic, to find out early that it can't. It rejects
   * with one error that says what to do, and may be called again.
   */
  connect(): Promise<void>
}

/**
 * Carries topics of Google Pub/Sub: one subscription for each server and broker's topic, deleted
 * on close.
 *
 * @param target A `PubSub` of `@google-cloud/pubsub`, which is used as it is and never closed; or
 *   the library's configuration, or nothing for the default credentials: then the driver makes
 *   its own with the first topic, and takes another one when its connection is dead.
 */
export function googlePubSubDriver(
  target: PubSub | GooglePubSubConfig = {},
  options: GooglePubSubDriverOptions = {},
): GooglePubSubDriver {
  checkDriverOptions('googlePubSubDriver', options, {
    ...routingChecks,
    encoding: encodingCheck,
    connectTimeout: duration,
    subscribeTimeout: duration,
    closeTimeout: duration,
    heartbeat: duration,
    expiration: longDuration,
    retention: longDuration,
    resume: flag,
    subscriptionPrefix: prefix,
    streamsPerConnection: count,
  } satisfies Record<keyof GooglePubSubDriverOptions, OptionCheck>)
  for (const source of options.sources ?? []) {
    const rule = brokenRule(source)
    if (rule) throw new OptionsError(`googlePubSubDriver: ${JSON.stringify(source)}: ${rule}.`)
  }
  const owned = !isPubSub(target)
  const make = isPubSub(target) ? () => Promise.resolve(target) : maker(target)
  const { connectTimeout = 5_000, subscribeTimeout = 5_000, closeTimeout = 5_000 } = options
  const { heartbeat = 5_000, expiration = DAY, retention = 600_000 } = options
  const { subscriptionPrefix = 'unifrost', address = (topic) => topic } = options

  const links: PubSubLink[] = []
  const closing = new AbortController()
  // Every subscribe that is under way listens, and there may be thousands at once.
  setMaxListeners(0, closing.signal)
  let closed: Promise<void> | undefined

  /** A link that has room for one more stream. */
  function freeLink(client: PubSub): PubSubLink {
    const limit = options.streamsPerConnection ?? (client.isEmulator ? Infinity : STREAMS)
    const free = links.find(({ readers }) => readers.size < limit)
    if (free !== undefined) return free
    if (!owned) throw fullError(limit)
    const more = newLink()
    links.push(more)
    return more
  }

  function newLink(): PubSubLink {
    return new PubSubLink({ make, owned, connectTimeout, heartbeat, closeTimeout })
  }

  async function open(source: string, events: SourceEvents<Message>): Promise<Subscription> {
    const first = (links[0] ??= newLink())
    const client = await unlessClosed(first.connected(), closing.signal)
    // Nobody else may come between finding the room and taking it.
    const reader = new PubSubReader(freeLink(client), source, events, {
      subscribeTimeout,
      closeTimeout,
      subscriptionPrefix,
      expiration,
      retention,
      resume: options.resume,
      closing: closing.signal,
    })
    await reader.open()
    return reader
  }

  const sources = new Sources<Message>('googlePubSubDriver', open, options, ({ data }) => data)

  return {
    encoding: options.encoding ?? 'utf8',

    async connect() {
      if (closed) throw closedError()
      await (links[0] ??= newLink()).connected()
    },

    async subscribe(topic: string, sink: Sink): Promise<Subscription> {
      if (closed) throw closedError()
      if (options.sources === undefined) toSource(topic, address)
      return sources.subscribe(topic, sink)
    },

    close() {
      closed ??= shut()
      return closed
    },
  }

  async function shut(): Promise<void> {
    closing.abort()
    await sources.close()
    await Promise.all(links.map((link) => link.close()))
  }
}

/** Makes clients of our own. A configuration of the user's comes before what is set here. */
function maker(config: GooglePubSubConfig): () => Promise<PubSub> {
  const { emulatorHost, ...given } = checkedConfig(config)
  const settings: ClientConfig & Record<string, unknown> = {
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    // A client that takes the place of another one is to have a connection of its own.
    'grpc.use_local_subchannel_pool': 1,
    ...(emulatorHost && { apiEndpoint: emulatorHost, emulatorMode: true }),
    ...given,
  }
  return async () => {
    const library = '@google-cloud/pubsub'
    const loaded = await loadPeer(
      'googlePubSubDriver',
      library,
      () => import('@google-cloud/pubsub'),
    )
    return new loaded.PubSub(settings)
  }
}

function checkedConfig(config: unknown): GooglePubSubConfig {
  const fits = typeof config === 'object' && config !== null && !Array.isArray(config)
  if (!fits) {
    const got = typeof config === 'string' ? JSON.stringify(config) : typeof config
    throw new OptionsError(
      `googlePubSubDriver got ${got}. It takes a PubSub of @google-cloud/pubsub, or what makes ` +
        "one, such as { projectId: 'mine' } or { projectId: 'mine', emulatorHost: 'host:port' }.",
    )
  }
  const { emulatorHost } = config as GooglePubSubConfig
  if (emulatorHost !== undefined && !/^[^\s/:]+:\d+$/.test(String(emulatorHost))) {
    const got = JSON.stringify(emulatorHost)
    throw new OptionsError(`googlePubSubDriver: emulatorHost is ${got}. It takes host:port.`)
  }
  return config
}

/** Longer than a timer of Node's could be, since it is Pub/Sub that waits. */
const longDuration: OptionCheck = [
  (value) => typeof value === 'number' && value >= 1_000 && value <= 366 * DAY,
  'milliseconds, a second to a year',
]

const prefix: OptionCheck = [
  (value) => typeof value === 'string' && /^(?!goog)[A-Za-z][\w\-.~+%]{0,79}$/i.test(value),
  "1 to 80 letters, digits and - _ . ~ + %, a letter first, and not 'goog'",
]

const count: OptionCheck = [
  (value) => value === Infinity || (Number.isInteger(value) && (value as number) > 0),
  'a whole number, at least 1, or Infinity',
]

function isPubSub(target: unknown): target is PubSub {
  const { subscription, createSubscription } = (target ?? {}) as Partial<PubSub>
  return typeof subscription === 'function' && typeof createSubscription === 'function'
}

function fullError(limit: number): Error {
  return new Error(
    `The PubSub given to googlePubSubDriver reads ${limit} topics of the broker already, as many ` +
      'as one connection to Google can. Read few of them with sources and route, or give the ' +
      'configuration, so that the driver makes more connections.',
  )
}
