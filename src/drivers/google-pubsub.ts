import type { Message, PubSub } from '@google-cloud/pubsub'
import { OptionsError } from '../errors.js'
import {
  checkDriverOptions,
  checks,
  Closings,
  driverShell,
  inTime,
  routingChecks,
  Sources,
} from '../driver-kit/index.js'
import type { BrokerDriver, OptionCheck, RoutingOptions } from '../driver-kit/index.js'
import { isPubSub, maker } from './google-pubsub/client.js'
import type { GooglePubSubConfig } from './google-pubsub/client.js'
import { Links } from './google-pubsub/links.js'
import { brokenRule, toSource } from './google-pubsub/names.js'
import { PubSubReader } from './google-pubsub/reader.js'

export type { GooglePubSubConfig }

const DAY = 86_400_000

/** A message as the library has it: `data`, `attributes`, `orderingKey`, `id`, `publishTime`. */
export type GooglePubSubMessage = Message

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
export type GooglePubSubDriver = BrokerDriver

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
    encoding: checks.encoding,
    connectTimeout: checks.duration,
    subscribeTimeout: checks.duration,
    closeTimeout: checks.duration,
    heartbeat: checks.duration,
    expiration: longDuration,
    retention: longDuration,
    resume: checks.flag,
    subscriptionPrefix: prefix,
    streamsPerConnection: count,
  } satisfies Record<keyof GooglePubSubDriverOptions, OptionCheck>)
  for (const source of options.sources ?? []) {
    const rule = brokenRule(source)
    if (rule) throw new OptionsError(`googlePubSubDriver: ${JSON.stringify(source)}: ${rule}.`)
  }
  const { connectTimeout = 5_000, subscribeTimeout = 5_000, closeTimeout = 5_000 } = options
  const { heartbeat = 5_000, expiration = DAY, retention = 600_000 } = options
  const { subscriptionPrefix = 'unifrost', address = (topic) => topic } = options
  const owned = !isPubSub(target)
  const make = isPubSub(target) ? async () => target : maker(target)

  const closings = new Closings('Google Pub/Sub')
  const links = new Links(
    { make, owned, connectTimeout, heartbeat, closeTimeout },
    options.streamsPerConnection,
  )
  const readerOptions = {
    subscribeTimeout,
    closeTimeout,
    subscriptionPrefix,
    expiration,
    retention,
    resume: options.resume,
    closing: closings.signal,
  }
  const sources = new Sources<Message>(
    'googlePubSubDriver',
    async (source, events) => {
      const client = await inTime(links.connected(), Infinity, undefined, closings.signal)
      // Nothing may come between finding the room and taking it, so there is no await here.
      const reader = new PubSubReader(links.free(client), source, events, readerOptions)
      await reader.open()
      return reader
    },
    options,
    ({ data }) => data,
  )

  return driverShell({
    closings,
    encoding: options.encoding,
    brokerState: links.state,
    connect: () => links.ask(),
    async subscribe(topic, sink) {
      if (options.sources === undefined) toSource(topic, address)
      return sources.subscribe(topic, sink)
    },
    async close() {
      await sources.close()
      await links.close()
    },
  })
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
