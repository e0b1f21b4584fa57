import type { NatsConnect, NatsConnectOptions } from '../brokers/nats/connection.js'
import { managerOf } from '../brokers/nats/jetstream.js'
import type {
  JetStreamConnection,
  Linked,
  NatsHeaders,
  NatsMessage,
} from '../brokers/nats/jetstream.js'
import { natsLink } from '../brokers/nats/link.js'
import { SPECIAL_SUBJECTS, toSubject } from '../brokers/nats/subject.js'
import type { Log, LogDriver, LogSink, LogSubscription } from '../log.js'
import { checkDriverOptions, checks, Closings, driverShell, PAYLOAD } from '../driver-kit/index.js'
import { kindOfTopic } from '../driver-kit/topic-kind.js'
import type { ChoosePayload, OptionCheck } from '../driver-kit/index.js'
import { StreamLog } from './jetstream/log.js'
import { written } from './jetstream/publish.js'
import { Replays } from './jetstream/replay.js'
import type { JetStreamMessage } from './jetstream/spread.js'
import { StreamTopics } from './jetstream/topics.js'

export type { JetStreamConnection, JetStreamMessage, NatsConnect, NatsConnectOptions }
export type { NatsHeaders, NatsMessage }

/** What `jetstreamDriver` takes besides the connection. Durations are in milliseconds. */
export interface JetStreamDriverOptions {
  /** The stream's name. It has to exist, unless `create` is given. */
  stream: string
  /**
   * What to make the stream of where there is none: its subjects, and whatever else the library
   * takes for a stream, such as `max_age`. One that is there is left as it is.
   */
  create?: { subjects: readonly string[]; [setting: string]: unknown }
  /**
   * The subjects to read of the stream, where other servers need the rest. Several take a NATS
   * server from 2.10 on. Default: all.
   */
  filter?: string | readonly string[]
  /** The subject a topic is read from. Default: the topic's own name. */
  address?: (topic: string) => string
  /**
   * What of a message is sent to the clients of a topic: text, bytes, or `{ event, data }` for an
   * event of another name than the topic's. Default: its data, byte for byte.
   */
  payload?: ChoosePayload<JetStreamMessage>
  /** How payloads travel: see {@link Driver.encoding}. Default: `utf8`. */
  encoding?: 'utf8' | 'base64'
  /** JetStream's domain, where it is not that of the server that is connected to. */
  domain?: string
  /**
   * How often the server gives a sign when there are no messages, at least 100. After two that
   * are missing, the driver looks what is wrong. Default: 1,000.
   */
  heartbeat?: number
  /** How long the server may take to open a topic. Default: 5,000. */
  subscribeTimeout?: number
  /** How long connecting may take, over all servers. By address only. Default: 5,000. */
  connectTimeout?: number
  /**
   * The library's `connect`, for one that is not found by its name. By address only.
   * Default: that of `@nats-io/transport-node`, or of `nats`, whichever is installed.
   */
  connect?: NatsConnect
}

/** A driver on NATS JetStream. */
export interface JetStreamDriver extends LogDriver {
  readonly log: Log
  /** See `BrokerDriver.connect`. */
  connect(): Promise<void>
}

/**
 * Carries one stream of NATS JetStream: a topic is a subject of it, with wildcards or not. One
 * consumer reads the stream for all topics of this process, and goes on after a broken link from
 * where it was, so that nothing is missed which the stream still has.
 *
 * @param target A connection of `nats` or `@nats-io/transport-node`, which is used as it is and
 *   never closed; or an address, or the library's options with `servers`: then the driver
 *   connects with the first topic, notices a dead link within about three seconds, and
 *   reconnects for ever.
 */
export function jetstreamDriver(
  target: JetStreamConnection | string | NatsConnectOptions,
  options: JetStreamDriverOptions,
): JetStreamDriver {
  const given = Object(options) as Partial<JetStreamDriverOptions>
  const { stream = '', create, payload, address = (topic) => topic } = given
  checkDriverOptions('jetstreamDriver', { ...given, stream }, {
    stream: streamName,
    create: creation,
    filter: subjects,
    address: checks.callback('a function from a topic to a subject'),
    payload: checks.callback(PAYLOAD),
    encoding: checks.encoding,
    domain: checks.text,
    heartbeat: [
      (value) => checks.duration[0](value) && (value as number) >= 100,
      `${checks.duration[1]}, from 100`,
    ],
    subscribeTimeout: checks.duration,
    connectTimeout: checks.duration,
    connect: checks.callback("the library's connect function"),
  } satisfies Record<keyof JetStreamDriverOptions, OptionCheck>)
  const { heartbeat = 1_000, subscribeTimeout = 5_000, connectTimeout = 5_000 } = options
  const filter = options.filter === undefined ? [] : [options.filter].flat()

  const closings = new Closings('JetStream')
  const link = natsLink(
    target,
    { user: 'jetstreamDriver', connect: options.connect, connectTimeout },
    {
      status({ type }) {
        if (type === 'reconnect') topics.resume()
      },
      ended: (error) => topics.fail(error),
    },
  )
  const replays = new Replays({ stream, filter, heartbeat, payload })
  const log: StreamLog = new StreamLog(stream, subscribeTimeout, {
    async look() {
      closings.check()
      return topics.look(await linked())
    },
    async *read(names, range) {
      closings.check()
      const there = await linked()
      const named = names.map((name) => ({ name, subject: toSubject(name, address) }))
      yield* replays.read(there, { ...range, topics: named }, takesSeveral(there.connection))
    },
  })
  const settings = { stream, filter, heartbeat, create, payload, subscribeTimeout }
  const topics = new StreamTopics(settings, log, closings)

  let current: Linked | undefined
  async function linked(): Promise<Linked> {
    const connection = await link.get()
    if (current?.connection === connection) return current
    const manager = await managerOf(connection, options.domain, subscribeTimeout)
    return (current = { connection, manager })
  }

  const driver = driverShell<LogSink, LogSubscription>({
    closings,
    brokerState: link.state,
    encoding: options.encoding,
    kindOf: kindOfTopic(SPECIAL_SUBJECTS, address),
    async connect() {
      const there = await linked()
      checkVersion(there.connection, filter)
      await topics.look(there)
    },
    async subscribe(name, sink) {
      const topic = { name, subject: toSubject(name, address), sink, after: 0 }
      const there = await linked()
      closings.check()
      checkVersion(there.connection, filter)
      return topics.open(topic, there)
    },
    async publish(name, payload) {
      const subject = toSubject(name, address)
      const { connection } = await linked()
      return written(connection, subject, payload, { stream, timeout: subscribeTimeout })
    },
    async close() {
      log.close()
      await Promise.all([topics.close(), replays.close()])
      await link.close()
    },
  })
  return { ...driver, log }
}

const streamName: OptionCheck = [
  (value) => typeof value === 'string' && /^[^\s.*>/\\\p{Cc}]{1,255}$/u.test(value),
  'the name of a stream, without white space, dots, slashes, * or >',
]

const creation: OptionCheck = [
  (value) => {
    const { subjects: list } = (value ?? {}) as { subjects?: unknown }
    return Array.isArray(list) && list.length > 0 && list.every((it) => checks.text[0](it))
  },
  '{ subjects } with the subjects of the stream, at least one',
]

const subjects: OptionCheck = [
  (value) => [value].flat().length > 0 && [value].flat().every((it) => checks.text[0](it)),
  'a subject, or a list of subjects',
]

/** Whether a server takes several subjects as a filter. */
function takesSeveral({ info }: JetStreamConnection): boolean {
  const [major = 0, minor = 0] = (info?.version ?? '').split('.').map(Number)
  return info?.version === undefined || major > 2 || (major === 2 && minor >= 10)
}

function checkVersion(connection: JetStreamConnection, filter: readonly string[]): void {
  if (filter.length < 2 || takesSeveral(connection)) return
  throw new Error(
    `NATS ${connection.info?.version} takes one subject as filter, and there are ${filter.length}. Give one, ` +
      'with a wildcard if need be, or update the server to 2.10 or later.',
  )
}
