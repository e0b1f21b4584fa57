import type { Published } from '../driver.js'
import { OptionsError, TopicNameError } from '../errors.js'
import {
  checkDriverOptions,
  checks,
  Closings,
  driverShell,
  inTime,
  routingChecks,
  Sources,
} from '../driver-kit/index.js'
import type { SpecialNames } from '../driver-kit/topic-kind.js'
import { hasWord, kindOfTopic } from '../driver-kit/topic-kind.js'
import type { BrokerDriver, ChoosePayload, OptionCheck } from '../driver-kit/index.js'
import type {
  RabbitChannel,
  RabbitConnect,
  RabbitConnection,
  RabbitConnectOptions,
  RabbitMessage,
} from './rabbitmq/connection.js'
import { rabbitLink } from './rabbitmq/link.js'
import { brokenRule, keyOf } from './rabbitmq/names.js'
import type { Place } from './rabbitmq/names.js'
import { publishError } from './rabbitmq/errors.js'
import { originOf } from './rabbitmq/origin.js'
import { topicsOver } from './rabbitmq/topics.js'
import type { Readers } from './rabbitmq/topics.js'

export type { RabbitChannel, RabbitConnect, RabbitConnection, RabbitConnectOptions, RabbitMessage }

/** What `rabbitmqDriver` takes besides the connection. Durations are in milliseconds. */
export interface RabbitmqDriverOptions {
  /**
   * The exchange that topics are read from. It is made, durable, where it is missing. Default:
   * `unifrost`.
   */
  exchange?: string
  /**
   * The type of that exchange, and of those that `address` answers: `direct`, where a routing key
   * is just that, `topic`, where topics may have the wildcards `*` and `#`, or `fanout`, which
   * takes `address` or `route`. Default: `direct`.
   */
  exchangeType?: 'direct' | 'topic' | 'fanout'
  /**
   * The routing key, and maybe the exchange, that a topic is read from. An exchange that is named
   * here has to exist. Default: the topic's own name, on the exchange above.
   */
  address?: (topic: string) => string | { exchange?: string; routingKey: string }
  /**
   * The routing keys that feed all topics; `route` then says which message is for which. Default
   * with `route`: everything, from an exchange of type `topic` or `fanout`.
   */
  sources?: readonly string[]
  /** The topic, or topics, that a message is for. What nobody here has is dropped. */
  route?: (message: RabbitMessage) => string | readonly string[] | undefined
  /**
   * What of a message is sent to the clients of a topic: text, bytes, or `{ event, data }` for an
   * event of another name than the topic's. Default: its content, byte for byte.
   */
  payload?: ChoosePayload<RabbitMessage>
  /** How payloads travel: see {@link Driver.encoding}. Default: `utf8`. */
  encoding?: 'utf8' | 'base64'
  /** What the names of the driver's queues start with. Default: `unifrost-`. */
  queuePrefix?: string
  /**
   * How often a silent link is probed, in whole seconds, unless the address says it. A dead link
   * is noticed after two to three times as long. By address only. Default: 2,000.
   */
  heartbeat?: number
  /** How long connecting may take. Default: 5,000. */
  connectTimeout?: number
  /** How long the broker may take to confirm a topic. Default: 5,000. */
  subscribeTimeout?: number
  /** How often it is asked whether the exchanges are still there. Default: 2,000. */
  checkInterval?: number
}

/** A driver on RabbitMQ. */
export type RabbitmqDriver = BrokerDriver

/**
 * Carries the messages of RabbitMQ's exchanges (AMQP 0-9-1).
 *
 * @param target A connection of amqplib, which is used as it is and never closed; or an address,
 *   amqplib's options with `hostname`, or a function that makes a connection whenever one is
 *   needed: then the driver connects with the first topic, and reconnects for ever.
 */
export function rabbitmqDriver(
  target: RabbitConnection | string | RabbitConnectOptions | RabbitConnect,
  options: RabbitmqDriverOptions = {},
): RabbitmqDriver {
  checkOptions(options)
  const { exchange = 'unifrost', exchangeType = 'direct', queuePrefix = 'unifrost-' } = options
  const { heartbeat = 2_000, connectTimeout = 5_000 } = options
  const { subscribeTimeout = 5_000, checkInterval = 2_000, route, payload } = options
  const origin = originOf(target, heartbeat / 1_000)
  const { where } = origin

  const closings = new Closings('RabbitMQ')
  const readers: Readers = new Map()
  const { link, close } = rabbitLink(origin, {
    where,
    exchange,
    exchangeType,
    queuePrefix,
    once: route !== undefined,
    checkInterval,
    connectTimeout,
    failed: (source, error) => readers.get(source)?.fail(error),
  })
  // A connection of the user's has no bound of its own: it may be waiting for its recovery.
  const connect = () => link.get(origin.isBrought ? connectTimeout : undefined)
  const sources = new Sources<RabbitMessage>(
    'rabbitmqDriver',
    topicsOver(link, readers, { where, exchangeType, queuePrefix, connect, subscribeTimeout }),
    {
      ...(payload && { payload }),
      ...(route && { route, sources: sourcesOf(options).map((key) => keyOf(exchange, key)) }),
      ...(!route && { address: (topic: string) => keyOf(...placeOfTopic(topic, options)) }),
    },
    ({ content }) => content,
  )

  async function publish(topic: string, payload: string | Uint8Array): Promise<Published> {
    const place = placeOfTopic(topic, options)
    const session = await connect()
    const publishing = session.publish(...place, Buffer.from(payload as string))
    await inTime(publishing, subscribeTimeout).catch((error: Error) => {
      throw publishError(error, place, where)
    })
    return {}
  }

  return driverShell({
    closings,
    encoding: options.encoding,
    kindOf: kindOfTopic(SPECIAL_KEYS, (topic) => placeOfTopic(topic, options)[1]),
    brokerState: link.state,
    connect,
    async subscribe(topic, sink) {
      if (typeof topic !== 'string' || topic === '') {
        throw new TopicNameError('A topic has a name, which is not empty.')
      }
      return sources.subscribe(topic, sink)
    },
    publish: options.sources === undefined ? publish : undefined,
    async close() {
      await close()
      await sources.close()
    },
  })
}

/** On an exchange of type `topic`, `*` and `#` stand for words. Names in `amq.` are the broker's. */
const SPECIAL_KEYS: SpecialNames = {
  wildcard: (key) => hasWord(key, '*', '#'),
  internal: (key) => key.startsWith('amq.'),
}

/**
 * Where a topic is read from.
 *
 * @throws TopicNameError for a name that RabbitMQ can't hold.
 */
function placeOfTopic(topic: string, options: RabbitmqDriverOptions): Place {
  const { exchange = 'unifrost', address } = options
  const answer = address === undefined ? topic : address(topic)
  const place: Place =
    typeof answer === 'object' && answer !== null
      ? [answer.exchange ?? exchange, answer.routingKey]
      : [exchange, answer]
  const rule = brokenRule(place)
  if (rule === undefined) return place
  const name = JSON.stringify(topic)?.slice(0, 100)
  const from = address && `, read from ${JSON.stringify(answer)?.slice(0, 100)},`
  throw new TopicNameError(`Topic ${name}${from ?? ''} can't be read from RabbitMQ: ${rule}.`)
}

/** The routing keys that `route` is given messages from. */
function sourcesOf({ sources, exchangeType }: RabbitmqDriverOptions): readonly string[] {
  if (sources) return sources
  if (exchangeType === 'topic') return ['#']
  if (exchangeType === 'fanout') return ['']
  throw new OptionsError(
    'rabbitmqDriver: sources and route are given together, unless the exchange is of type topic ' +
      'or fanout, where route alone gets everything.',
  )
}

function checkOptions(options: RabbitmqDriverOptions): void {
  const type: OptionCheck = [
    (value) => value === 'direct' || value === 'topic' || value === 'fanout',
    "'direct', 'topic' or 'fanout'; bind one of these to an exchange of another type",
  ]
  const isShort = (value: unknown) => typeof value === 'string' && Buffer.byteLength(value) <= 200
  checkDriverOptions('rabbitmqDriver', options, {
    exchange: [(value) => checks.text[0](value) && isShort(value), 'a name of 1 to 200 bytes'],
    exchangeType: type,
    address: checks.callback(
      'a function from a topic to a routing key, or { exchange, routingKey }',
    ),
    sources: routingChecks.sources,
    route: routingChecks.route,
    payload: routingChecks.payload,
    encoding: checks.encoding,
    queuePrefix: [isShort, 'text of at most 200 bytes'],
    heartbeat: [
      (value) =>
        Number.isInteger(value) && (value as number) >= 1_000 && (value as number) % 1_000 === 0,
      'milliseconds, 1,000 or a multiple of it',
    ],
    connectTimeout: checks.duration,
    subscribeTimeout: checks.duration,
    checkInterval: checks.duration,
  } satisfies Record<keyof RabbitmqDriverOptions, OptionCheck>)
  const { sources, route, address, exchange, exchangeType } = options
  if (sources !== undefined && route === undefined) {
    throw new OptionsError('rabbitmqDriver: sources come with route, which says what is for whom.')
  }
  if (route !== undefined && address !== undefined) {
    throw new OptionsError('rabbitmqDriver: give address, or route with sources, not both.')
  }
  for (const key of sources ?? []) {
    const rule = brokenRule([exchange ?? 'unifrost', key])
    if (rule !== undefined) throw new OptionsError(`rabbitmqDriver: sources: ${rule}.`)
  }
  if (exchangeType === 'fanout' && route === undefined && address === undefined) {
    throw new OptionsError(
      'rabbitmqDriver: an exchange of type fanout gives everything to everyone. Say with route ' +
        'which topic a message is for, or with address which exchange a topic is read from.',
    )
  }
}
