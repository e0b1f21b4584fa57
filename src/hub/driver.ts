import type { BrokerOutage, TopicKind } from '../driver.js'
import { Backoff, Closings, driverShell, inTime, kindOfTopic, pause } from '../driver-kit/index.js'
import type { LogDriver, LogSink, LogSubscription, Log } from '../log.js'
import { callback, checkOptions, number, oneOf } from '../option-checks.js'
import { checkAddress } from './address.js'
import type { HubConnection } from './connection.js'
import { hubLink } from './link.js'
import { HubLog } from './log.js'
import type { Numbering } from './log.js'
import { KIND, payloadOf, readEntry, readMark } from './packets.js'

/** What `hubDriver` takes besides the address. Durations are in milliseconds. */
export interface HubDriverOptions {
  /** The encoding of the hub's driver: see `Driver.encoding`. Default: `utf8`. */
  encoding?: 'utf8' | 'base64'
  /**
   * What a name means to the hub's broker: the `kindOf` of its driver, see `Driver.kindOf`. Default: as
   * careful as all brokers together ask for. A name with one of `* ? # > % [ ] { }` is a wildcard, and
   * one that has a `$`, or begins with `_` or `amq.`, is internal.
   */
  kindOf?: (topic: string) => TopicKind
  /** How long connecting to the hub may take. Default: 5,000. */
  connectTimeout?: number
  /** How long the hub may take to open a topic. Default: 10,000. */
  subscribeTimeout?: number
  /** How long the hub may be silent before the connection is made anew. Default: 10,000. */
  silence?: number
}

/** A driver on a hub. */
export interface HubDriver extends LogDriver {
  readonly log: Log
  /** See `BrokerDriver.connect`: connects to the hub, and has the hub connect to its broker. */
  connect(): Promise<void>
  /**
   * Publishes by the hub's driver, where that can: `memoryDriver` does, and every worker gets it.
   *
   * @returns what the driver's `publish` returns.
   * @throws Error if the hub's driver does not publish, or the hub does not answer.
   */
  publish(topic: string, payload: string | Uint8Array): Promise<unknown>
}

/** A topic that is open here. */
interface OpenTopic {
  readonly name: string
  readonly sink: LogSink
  /** The hub's number of it. 0 while it is not open there. */
  id: number
  /** Whether it has been open: then it is opened again for as long as nobody closes it. */
  isPromised: boolean
}

/** What the hub says at the start. */
interface Greeting extends Numbering {
  topics: number[]
  broker?: BrokerOutage
}

/** What a name means to any of the brokers there are. */
const careful = kindOfTopic({
  wildcard: (name) => /[*?#>%[\]{}]/.test(name),
  internal: (name) => /\$|^_|^amq\./.test(name),
})

/** How often a topic that was open is asked for again, before it has failed. */
const MOST_TRIES = 10
/** How long the hub may take to close a topic, in milliseconds. */
const CLOSE_TIMEOUT = 1_000

/**
 * Reads topics from the hub of this machine. It has the hub's log: its numbers are the same in every
 * worker, so a client resumes exactly at any of them.
 *
 * @param address The path of the hub's Unix socket; on Windows the name of its pipe.
 * @throws OptionsError
 */
export function hubDriver(address: string, options: HubDriverOptions = {}): HubDriver {
  checkAddress('hubDriver', address)
  const milliseconds = number(1, 2 ** 31 - 1)
  checkOptions('hubDriver', options, {
    encoding: oneOf('utf8', 'base64'),
    kindOf: callback('a function from a topic to what it means to the broker'),
    connectTimeout: milliseconds,
    subscribeTimeout: milliseconds,
    silence: milliseconds,
  })
  return new Worker(address, options).driver()
}

class Worker {
  readonly #closings = new Closings('hub')
  readonly #topics = new Map<string, OpenTopic>()
  readonly #byId = new Map<number, OpenTopic>()
  readonly #encoding: 'utf8' | 'base64'
  readonly #subscribeTimeout: number
  readonly #link
  readonly #log: HubLog
  /** The connection that the log is read from. */
  #reading: HubConnection | undefined
  /** Why the hub does not reach its broker. */
  #outage: BrokerOutage | undefined

  constructor(
    address: string,
    private readonly options: HubDriverOptions,
  ) {
    const { connectTimeout = 5_000, subscribeTimeout = 10_000, silence = 10_000 } = options
    this.#encoding = options.encoding ?? 'utf8'
    this.#subscribeTimeout = subscribeTimeout
    this.#link = hubLink(
      address,
      { connectTimeout, silence },
      (connection) => ({
        packet: (kind, body) => {
          if (connection() === this.#reading) this.#take(kind, body)
        },
        event: (_name, { down }) => this.#broker(down as BrokerOutage | undefined),
      }),
      (connection) => this.#greet(connection),
    )
    this.#link.on({ up: () => this.#broker(this.#outage) })
    this.#log = new HubLog(() => this.#link.get(), subscribeTimeout)
  }

  driver(): HubDriver {
    const shell = driverShell<LogSink, LogSubscription>({
      closings: this.#closings,
      brokerState: this.#link.state,
      encoding: this.#encoding,
      kindOf: this.options.kindOf ?? careful,
      connect: async () => (await this.#link.get()).ask('connect'),
      subscribe: (name, sink) => this.#subscribe(name, sink),
      close: async () => {
        this.#log.close()
        this.#topics.clear()
        this.#byId.clear()
        await this.#link.close()
      },
    })
    const publish = async (topic: string, payload: string | Uint8Array) => {
      this.#closings.check()
      const isText = typeof payload === 'string'
      const content = isText
        ? { text: payload }
        : { base64: Buffer.from(payload).toString('base64') }
      return (await this.#link.get()).ask('publish', { topic, ...content })
    }
    return { ...shell, log: this.#log, publish }
  }

  #greet(connection: HubConnection): Promise<Greeting> {
    const open = [...this.#topics.values()].filter(({ isPromised }) => isPromised)
    const names = open.map(({ name }) => name)
    const { epoch, position: cursor } = this.#log
    const args = { encoding: this.#encoding, epoch, cursor, topics: names }
    return connection.greet<Greeting>('log', args, (greeting) => {
      this.#reading = connection
      this.#outage = greeting.broker
      const goesOn = greeting.epoch === epoch
      this.#byId.clear()
      const isTold = this.#log.greeted(greeting)
      names.forEach((name, index) => {
        const topic = this.#topics.get(name)
        if (topic === undefined) return
        topic.id = goesOn ? (greeting.topics[index] ?? 0) : 0
        if (topic.id !== 0) this.#byId.set(topic.id, topic)
        else void this.#reopen(connection, topic, !isTold)
      })
    })
  }

  async #subscribe(name: string, sink: LogSink): Promise<LogSubscription> {
    const connection = await this.#link.get()
    const topic: OpenTopic = { name, sink, id: 0, isPromised: false }
    this.#topics.set(name, topic)
    try {
      const position = await inTime(
        this.#open(connection, topic, () => (topic.isPromised = true)),
        this.#subscribeTimeout,
        () => new Error(`The hub did not open topic ${JSON.stringify(name)} in time. Try again.`),
        this.#closings.signal,
      )
      return { position, close: () => this.#close(topic) }
    } catch (error) {
      void this.#close(topic)
      throw error
    }
  }

  /**
   * @param opened Called before the topic's first entry, with the number after which it is read.
   * @returns that number.
   */
  async #open(
    connection: HubConnection,
    topic: OpenTopic,
    opened: (position: number) => void,
  ): Promise<number> {
    const { position } = await connection.ask<{ topic: number; position: number }>(
      'open',
      { topic: topic.name },
      ({ topic: id, position: from }) => {
        // It was closed meanwhile, or the connection is not the one that is read any more.
        const isWanted = this.#topics.get(topic.name) === topic && connection === this.#reading
        if (!isWanted) {
          void connection.ask('close', { topic: id }).catch(() => undefined)
          return
        }
        opened(from)
        this.#byId.set((topic.id = id), topic)
      },
    )
    return position
  }

  /** Opens a topic again that the hub did not keep open. */
  async #reopen(connection: HubConnection, topic: OpenTopic, isLoss: boolean): Promise<void> {
    const { signal } = this.#closings
    const backoff = new Backoff()
    const isWanted = () =>
      !signal.aborted && connection === this.#reading && this.#topics.get(topic.name) === topic
    for (let tries = 1; isWanted(); tries++) {
      try {
        await this.#open(connection, topic, (position) => {
          if (isLoss) topic.sink.gap('The hub had closed this topic meanwhile.', position)
        })
        return
      } catch (error) {
        if (!isWanted()) return
        if (tries === MOST_TRIES) {
          this.#topics.delete(topic.name)
          topic.sink.fail(error as Error)
          return
        }
        await pause(backoff.next(), signal)
      }
    }
  }

  async #close(topic: OpenTopic): Promise<void> {
    const { name, id } = topic
    if (this.#topics.get(name) === topic) this.#topics.delete(name)
    if (id === 0 || this.#byId.get(id) !== topic) return
    this.#byId.delete(id)
    const asked = this.#reading?.ask('close', { topic: id }) ?? Promise.resolve()
    // A hub that does not answer closes it when the connection is gone.
    await inTime(asked, CLOSE_TIMEOUT, undefined, this.#closings.signal).catch(() => undefined)
  }

  #take(kind: number, body: Buffer): void {
    if (kind === KIND.mark) {
      this.#log.at(readMark(body))
      return
    }
    const { number, topic: id, payload } = readEntry(body)
    const topic = this.#byId.get(id)
    if (kind === KIND.gap) {
      topic?.sink.gap(payload.toString(), number)
      return
    }
    if (kind !== KIND.fail) topic?.sink.message(payloadOf(kind, payload), number, false)
    else if (topic !== undefined) {
      this.#byId.delete(id)
      this.#topics.delete(topic.name)
      topic.sink.fail(new Error(payload.toString()))
    }
    this.#log.at(number)
  }

  #broker(down: BrokerOutage | undefined): void {
    this.#outage = down
    if (down === undefined) this.#link.heard()
    else this.#link.silent(down.reason)
  }
}
