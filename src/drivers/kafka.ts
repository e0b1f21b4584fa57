import {
  checkDriverOptions,
  checks,
  Closings,
  driverShell,
  routingChecks,
  Sources,
} from '../driver-kit/index.js'
import { kindOfTopic } from '../driver-kit/topic-kind.js'
import type { BrokerDriver, OptionCheck, RoutingOptions } from '../driver-kit/index.js'
import { Cluster } from './kafka/cluster.js'
import type { KafkaClient, KafkaConnectOptions, KafkaModule } from './kafka/target.js'
import { isKafkaModule, libraryFor } from './kafka/target.js'
import { checkTopicName } from './kafka/topic-name.js'
import type { KafkaMessage } from './kafka/wire.js'

export type { KafkaJsClient } from './kafka/kafkajs.js'
export type { PlatformaticClient, PlatformaticModule } from './kafka/platformatic.js'
export type { KafkaJsModule } from './kafka/target.js'
export type { KafkaClient, KafkaConnectOptions, KafkaMessage, KafkaModule }

/** What `kafkaDriver` takes besides the cluster. Durations are in milliseconds. */
export interface KafkaDriverOptions extends RoutingOptions<KafkaMessage> {
  /** How payloads travel: see {@link Driver.encoding}. Default: `utf8`. */
  encoding?: 'utf8' | 'base64'
  /** How long connecting may take, over all configured brokers. Default: 5,000. */
  connectTimeout?: number
  /** How long opening a topic may take, reconnects in between included. Default: 5,000. */
  subscribeTimeout?: number
  /**
   * How long an answer of a broker may take, beyond {@link maxWait}, before its link is given up;
   * and how long a topic may be unknown to Kafka before it counts as deleted. Default: 3,000.
   */
  responseTimeout?: number
  /** For how long a broker holds a request when there is no message. Default: 1,000. */
  maxWait?: number
  /** How often new partitions are looked for. Default: 30,000. */
  metadataInterval?: number
  /**
   * Whether messages that Kafka has removed by compaction before they were read are no loss, since
   * the latest one of each key is all that counts. Default: false, clients get `messages-lost`.
   */
  ignoreCompaction?: boolean
  /**
   * The library, as `import()` gives it: for one that is not found by its name, or where both are
   * installed. Default: kafkajs, or @platformatic/kafka, whichever is installed.
   */
  library?: KafkaModule
}

/** A driver on Kafka. */
export type KafkaDriver = BrokerDriver

/**
 * Carries Kafka topics: every partition, from its end on, without a consumer group.
 *
 * @param target A `Kafka` of kafkajs or a client of @platformatic/kafka, whose settings are taken
 *   for connections of the driver's own; or an address; or `brokers` with `ssl` and `sasl`.
 */
export function kafkaDriver(
  target: KafkaClient | string | KafkaConnectOptions,
  options: KafkaDriverOptions = {},
): KafkaDriver {
  checkDriverOptions('kafkaDriver', options, {
    ...routingChecks,
    encoding: checks.encoding,
    connectTimeout: checks.duration,
    subscribeTimeout: checks.duration,
    responseTimeout: checks.duration,
    maxWait: checks.duration,
    metadataInterval: checks.duration,
    ignoreCompaction: checks.flag,
    library: [isKafkaModule, 'the module of kafkajs or of @platformatic/kafka'],
  } satisfies Record<keyof KafkaDriverOptions, OptionCheck>)
  for (const source of options.sources ?? []) checkTopicName(source)
  const { connectTimeout = 5_000, address } = options
  const closings = new Closings('Kafka')
  const library = libraryFor(target, options.library, connectTimeout)
  const bounds = {
    connectTimeout,
    subscribeTimeout: options.subscribeTimeout ?? 5_000,
    responseTimeout: options.responseTimeout ?? 3_000,
    maxWait: options.maxWait ?? 1_000,
    metadataInterval: options.metadataInterval ?? 30_000,
  }
  const cluster = new Cluster(library, bounds, closings.signal, options.ignoreCompaction ?? false)
  const sources = new Sources<KafkaMessage>(
    'kafkaDriver',
    (source, events) => cluster.open(source, events),
    options,
    ({ value }) => value ?? '',
  )

  return driverShell({
    closings,
    encoding: options.encoding,
    kindOf: kindOfTopic({ internal: (name) => name.startsWith('_') }, address),
    brokerState: cluster.state,
    connect: () => cluster.connect(),
    async subscribe(topic, sink) {
      if (options.sources === undefined) checkTopicName(address ? address(topic) : topic, topic)
      return sources.subscribe(topic, sink)
    },
    async close() {
      cluster.close()
      await sources.close()
    },
  })
}
