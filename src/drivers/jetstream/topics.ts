import { reasonOf } from '../../brokers/nats/jetstream.js'
import type { Linked, StreamInfo } from '../../brokers/nats/jetstream.js'
import type { LogSubscription } from '../../log.js'
import { Closings } from '../../driver-kit/index.js'
import { TopicNameError } from '../../errors.js'
import type { StreamLog } from './log.js'
import { StreamReader } from './reader.js'
import type { ReaderSettings } from './reader.js'
import { Spread } from './spread.js'
import type { ChoosePayload, SpreadTopic } from './spread.js'
import { asked, found, said } from './stream.js'
import { overlaps } from './subjects.js'

export interface TopicsSettings extends ReaderSettings {
  readonly payload: ChoosePayload | undefined
  /** How long the server may take to open a topic, in milliseconds. */
  readonly subscribeTimeout: number
}

/** The reader of the stream, shared by all topics that are open or being opened. */
interface SharedReader {
  readonly reader: StreamReader
  readonly spread: Spread
  readonly ready: Promise<void>
  readonly users: Set<SpreadTopic>
}

/**
 * The topics that are open. The first one starts the reader of the stream, and it is closed with the
 * last; a topic that is opened after that starts a new one.
 */
export class StreamTopics {
  #shared: SharedReader | undefined
  /** Counts how often a reader was started and closed. */
  #changes = 0
  /** Each look has a number. `#answered` is the highest of those that moved the log. */
  #looks = 0
  #answered = 0
  /** Readers that are being closed. */
  readonly #ending = new Closings('JetStream')

  constructor(
    private readonly settings: TopicsSettings,
    private readonly log: StreamLog,
    private readonly closings: Closings,
  ) {}

  async open(topic: SpreadTopic, linked: Linked): Promise<LogSubscription> {
    const until = performance.now() + this.settings.subscribeTimeout
    const shared = this.#shared ?? this.#start(linked)
    shared.users.add(topic)
    try {
      await shared.ready
      const last = await this.#present(shared.reader, topic.subject, until)
      this.closings.check()
      if (this.#shared !== shared) throw endedError(this.settings.stream)
      // What the reader has passed since then was not for this topic either.
      topic.after = Math.max(last, this.log.position)
      shared.spread.add(topic)
    } catch (error) {
      await this.#leave(shared, topic)
      throw error
    }
    return {
      close: () => this.#leave(shared, topic),
      // Another number, if the stream was made anew before anybody looked.
      get position() {
        return topic.after
      },
    }
  }

  /** What the stream says of itself, whether topics are open or not. */
  async look({ connection, manager }: Linked): Promise<StreamInfo> {
    const { stream, create, subscribeTimeout } = this.settings
    let asking = { look: 0, changes: 0 }
    const ask = () => {
      asking = { look: ++this.#looks, changes: this.#changes }
      return this.#shared?.reader.look() ?? found(manager, { stream, create })
    }
    const until = performance.now() + subscribeTimeout
    const info = await asked(ask, until, this.closings.signal).catch((error: unknown) => {
      throw said(connection, stream, error)
    })
    this.closings.check()
    const isNewest = asking.look > this.#answered
    // What a reader has read since, or a later look has found, may be further on.
    if (this.#shared === undefined && asking.changes === this.#changes && isNewest) {
      this.#answered = asking.look
      this.log.skip(info)
    }
    // A reader that was started meanwhile says where the log begins.
    if (this.log.epoch === undefined) await this.#shared?.ready
    return info
  }

  /** The link was lost and is back. */
  resume(): void {
    this.#shared?.reader.resume()
  }

  /** The link is over. */
  fail(error: Error): void {
    this.#shared?.reader.fail(error)
  }

  /** Settles when the server has let go of all consumers, or does not answer. */
  async close(): Promise<void> {
    if (this.#shared !== undefined) this.#end(this.#shared)
    await this.#ending.idle()
  }

  #start({ connection, manager }: Linked): SharedReader {
    const { settings } = this
    const spread = new Spread(this.log, settings.payload, () => this.#end(shared))
    const reader = new StreamReader(connection, manager, settings, spread)
    const ready = reader.open(settings.subscribeTimeout)
    const shared: SharedReader = { reader, spread, ready, users: new Set() }
    ready.catch(() => this.#end(shared))
    this.#shared = shared
    this.#changes++
    return shared
  }

  #end(shared: SharedReader): void {
    if (this.#shared !== shared) return
    this.#shared = undefined
    this.#changes++
    void this.#ending.add(shared.reader.close())
  }

  async #leave(shared: SharedReader, topic: SpreadTopic): Promise<void> {
    shared.spread.delete(topic)
    shared.users.delete(topic)
    if (shared.users.size > 0) return
    this.#end(shared)
    await this.#ending.idle()
  }

  /** The sequence after which a topic that is opened now gets messages: the last one there is. */
  async #present(reader: StreamReader, subject: string, until: number): Promise<number> {
    const { stream } = this.settings
    for (;;) {
      const { restarts } = reader
      const looking = asked(() => reader.look(), until, this.closings.signal)
      const info = await looking.catch((error: unknown) => {
        throw new Error(
          `NATS did not say where stream ${stream} ends (${reasonOf(error).words}), so ` +
            `${JSON.stringify(subject)} could not be opened. ` +
            'Check that the server is up and reachable, and try again.',
          { cause: error },
        )
      })
      this.#checkHeld(subject, info)
      // If the numbers have begun anew meanwhile, this one is of the old ones: ask again.
      if (reader.restarts === restarts) return info.state.last_seq
    }
  }

  #checkHeld(subject: string, { config }: StreamInfo): void {
    const { filter, stream } = this.settings
    // Messages that come from other streams, or are renamed, may have any subject.
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
}

function endedError(stream: string): Error {
  return new Error(`Stream ${stream} could not be read on while a topic was opened. Try again.`)
}
