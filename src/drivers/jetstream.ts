import type { Log, LogDriver, LogSink, LogSubscription } from '../log.js'
import { TopicNameError } from '../errors.js'
import { reasonOf } from '../brokers/nats/jetstream.js'
import type {
  JetStreamConnection,
  NatsHeaders,
  NatsMessage,
  StreamInfo,
} from '../brokers/nats/jetstream.js'
import { closedError, JetStreamLink } from './jetstream/link.js'
import type { Linked } from './jetstream/link.js'
import { StreamLog } from './jetstream/log.js'
import { StreamReader } from './jetstream/reader.js'
import { Replays } from './jetstream/replay.js'
import { Spread } from './jetstream/spread.js'
import type { JetStreamMessage, SpreadTopic } from './jetstream/spread.js'
import { asked, found, said } from './jetstream/stream.js'
import { overlaps } from './jetstream/subjects.js'
import type { NatsConnect, NatsConnectOptions } from '../brokers/nats/connection.js'
import { toSubject } from '../brokers/nats/subject.js'
import type { OptionCheck } from '../driver-kit/options.js'
import {
  callback,
  checkDriverOptions,
  duration,
  encoding as encodingCheck,
  text,
} from '../driver-kit/options.js'

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
  create?: { subjects: string[]; [setting: string]: unknown }
  /**
   * The subjects to read of the stream, where other servers need the rest. Several take a NATS
   * server from 2.10 on. Default: all.
   */
  filter?: string | string[]
  /** The subject a topic is read from. Default: the topic's own name. */
  address?: (topic: string) => string
  /** What of a message is sent. Default: its data, byte for byte. */
  payload?: (message: JetStreamMessage) => string | Uint8Array
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
  /**
   * Connects now instead of with the first topic, to find out early that it can't. It rejects
   * with one error that says what to do, and may be called again.
   */
  connect(): Promise<void>
}

/** A stream that is being read, for the topics that are open. */
interface Reading {
  readonly reader: StreamReader
  readonly spread: Spread
  readonly ready: Promise<void>
  readonly users: Set<SpreadTopic>
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
  const { stream = '', create, address = (topic) => topic, encoding = 'utf8' } = options
  const { heartbeat = 1_000, subscribeTimeout = 5_000, connectTimeout = 5_000 } = options
  checkDriverOptions('jetstreamDriver', { ...options, stream }, {
    stream: streamName,
    create: creation,
    filter: subjects,
    address: callback('a function from a topic to a subject'),
    payload: callback('a function from a message to text or bytes'),
    encoding: encodingCheck,
    domain: text,
    heartbeat: [
      (value) => duration[0](value) && (value as number) >= 100,
      `${duration[1]}, from 100`,
    ],
    subscribeTimeout: duration,
    connectTimeout: duration,
    connect: callback("the library's connect function"),
  } satisfies Record<keyof JetStreamDriverOptions, OptionCheck>)
  const filter = options.filter === undefined ? [] : [options.filter].flat()

  const link = new JetStreamLink(
    {
      target,
      domain: options.domain,
      connect: options.connect,
      connectTimeout,
      requestTimeout: subscribeTimeout,
    },
    {
      back: () => reading?.reader.resume(),
      ended: (error) => reading?.reader.fail(error),
    },
  )
  const replays = new Replays({ stream, filter, heartbeat, payload: options.payload })
  const log: StreamLog = new StreamLog(stream, subscribeTimeout, {
    look,
    async *read(topics, range) {
      if (closed) throw closedError()
      const linked = await link.get()
      const named = topics.map((name) => ({ name, subject: toSubject(name, address) }))
      yield* replays.read(linked, { ...range, topics: named }, takesSeveral(linked.connection))
    },
  })
  const closing = new Set<Promise<void>>()
  let reading: Reading | undefined
  /** How often reading began and ended. */
  let readings = 0
  /** Counts who looks, and is who was answered last. */
  let [turns, answered] = [0, 0]
  let closed: Promise<void> | undefined

  function read({ connection, manager }: Linked): Reading {
    if (reading) return reading
    const spread = new Spread(log, options.payload, () => end(started))
    const settings = { stream, filter, heartbeat, create }
    const reader = new StreamReader(connection, manager, settings, spread)
    const started: Reading = {
      reader,
      spread,
      ready: reader.open(subscribeTimeout),
      users: new Set(),
    }
    started.ready.catch(() => end(started))
    reading = started
    readings++
    return started
  }

  /** Whoever opens a topic from now on reads anew. */
  function end(ended: Reading): void {
    if (reading !== ended) return
    reading = undefined
    readings++
    const ending = ended.reader.close().finally(() => closing.delete(ending))
    closing.add(ending)
  }

  async function leave(from: Reading, topic: SpreadTopic): Promise<void> {
    from.spread.delete(topic)
    from.users.delete(topic)
    if (from.users.size > 0) return
    end(from)
    await Promise.all(closing)
  }

  /** From where on the topic counts: the last sequence that was given before now. */
  async function present({ reader }: Reading, subject: string, until: number): Promise<number> {
    for (;;) {
      const { lives } = reader
      const info = await asked(() => reader.look(), until).catch((error: unknown) => {
        throw new Error(
          `NATS did not say where stream ${stream} ends (${reasonOf(error).words}), so ` +
            `${JSON.stringify(subject)} could not be opened. ` +
            'Check that the server is up and reachable, and try again.',
          { cause: error },
        )
      })
      if (closed) throw closedError()
      checkHeld(subject, info)
      // What has begun anew since is numbered anew.
      if (reader.lives === lives) return info.state.last_seq
    }
  }

  function checkHeld(subject: string, { config }: StreamInfo): void {
    // What comes from other streams, or is renamed, may have any subject.
    const own = !config.mirror && !config.sources?.length && !config.subject_transform
    const lists = [filter, own ? (config.subjects ?? []) : []]
    for (const list of lists) {
      if (list.length === 0 || list.some((held) => overlaps(held, subject))) continue
      const what = list === filter ? 'The filter of jetstreamDriver' : `Stream ${stream}`
      throw new TopicNameError(
        `${what} has ${list.slice(0, 10).join(', ')}, and so no ${JSON.stringify(subject)}.`,
      )
    }
  }

  async function shut(): Promise<void> {
    log.close()
    if (reading) end(reading)
    await Promise.all([...closing, replays.close()])
    await link.close()
  }

  /** What the stream says of itself, while topics are open or not. */
  async function look(): Promise<StreamInfo> {
    if (closed) throw closedError()
    const { connection, manager } = await link.get()
    let asking = { turn: 0, began: 0 }
    const ask = () => {
      asking = { turn: ++turns, began: readings }
      return reading?.reader.look() ?? found(manager, { stream, create })
    }
    const info = await asked(ask, performance.now() + subscribeTimeout).catch((error: unknown) => {
      throw said(connection, stream, error)
    })
    if (closed) throw closedError()
    const { turn, began } = asking
    // What was read since, or said to one who asked later, may be further on.
    if (!reading && began === readings && turn > answered) {
      answered = turn
      log.skip(info)
    }
    // Where reading began meanwhile, it says where.
    if (log.epoch === undefined) await reading?.ready
    return info
  }

  return {
    encoding,
    log,

    async connect() {
      if (closed) throw closedError()
      await link.get()
    },

    async subscribe(name: string, sink: LogSink): Promise<LogSubscription> {
      if (closed) throw closedError()
      const topic: SpreadTopic = { name, subject: toSubject(name, address), sink, after: 0 }
      const linked = await link.get()
      if (closed) throw closedError()
      const until = performance.now() + subscribeTimeout
      checkVersion(linked.connection, filter)
      const from = read(linked)
      from.users.add(topic)
      try {
        await from.ready
        const last = await present(from, topic.subject, until)
        if (reading !== from) throw closed ? closedError() : endedError(stream)
        // What has been read since that was said has passed it by.
        topic.after = Math.max(last, log.position)
        from.spread.add(topic)
      } catch (error) {
        await leave(from, topic)
        throw error
      }
      return {
        close: () => leave(from, topic),
        // Another one, if the stream was made anew before anybody looked.
        get position() {
          return topic.after
        },
      }
    },

    close() {
      closed ??= shut()
      return closed
    },
  }
}

function endedError(stream: string): Error {
  return new Error(`Stream ${stream} could not be read on while a topic was opened. Try again.`)
}

const streamName: OptionCheck = [
  (value) => typeof value === 'string' && /^[^\s.*>/\\\p{Cc}]{1,255}$/u.test(value),
  'the name of a stream, without white space, dots, slashes, * or >',
]

const creation: OptionCheck = [
  (value) => {
    const { subjects: list } = (value ?? {}) as { subjects?: unknown }
    return Array.isArray(list) && list.length > 0 && list.every((it) => text[0](it))
  },
  '{ subjects } with the subjects of the stream, at least one',
]

const subjects: OptionCheck = [
  (value) => [value].flat().length > 0 && [value].flat().every((it) => text[0](it)),
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
