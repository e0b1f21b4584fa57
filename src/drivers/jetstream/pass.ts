import { closedError, within } from '../../driver-kit/index.js'
import { reasonOf } from '../../brokers/nats/jetstream.js'
import type { Linked, NatsMessage, StreamInfo } from '../../brokers/nats/jetstream.js'
import { StreamConsumer } from './consumer.js'
import type { ConsumerSettings } from './consumer.js'
import { place } from './position.js'
import type { Position } from './position.js'
import { CLOSE_TIMEOUT } from './reader.js'

/** How often the server says how far a consumer has come, in milliseconds. No server takes less. */
const HEARTBEAT = 100

/** A part of a stream, and which of its subjects are wanted. */
export interface PassSettings extends ConsumerSettings {
  readonly after: number
  readonly through: number
  /** How far the stream was read. It has to be this very stream still. */
  readonly known: Position
  /** The subjects that the server chooses. Undefined: all that the driver's filter takes. */
  readonly subjects: readonly string[] | undefined
}

/** A message that has arrived. */
export interface Arrived {
  readonly message: NatsMessage
  readonly sequence: number
  readonly time: number
}

/** Reads a part of a stream once, by a consumer of its own. */
export class Pass {
  /** Whether the server refused to choose the subjects, so that everything is read instead. */
  refused = false
  #consumer: StreamConsumer | undefined
  #arrived: Arrived[] = []
  /** Everything through here has arrived. */
  #reached: number
  #lostThrough = 0
  #broken: Error | undefined
  #wake: () => void = () => undefined

  constructor(
    private readonly linked: Linked,
    private readonly settings: PassSettings,
  ) {
    this.#reached = settings.after
  }

  async open(): Promise<void> {
    const { subjects, filter, through } = this.settings
    const { config } = await this.#look()
    const consumer = await this.#make(subjects ?? filter).catch((error: unknown) => {
      // The server may refuse these subjects, such as one that the stream has only in part, or ask for
      // one more permission where there are several.
      const { kind } = reasonOf(error)
      if (subjects === undefined || (kind !== 'refused' && kind !== 'denied')) throw error
      this.refused = true
      return this.#make(filter)
    })
    // With replicas, the one that has the consumer may be behind, so its count proves nothing.
    const isAlone = (config.num_replicas ?? 1) === 1
    if (isAlone && consumer.pending === 0) this.#reached = through
    consumer.release()
  }

  /** The messages that arrived since, and the sequence through which that is all. Empty at the end. */
  async next(): Promise<{ arrived: Arrived[]; through: number }> {
    const { through, heartbeat } = this.settings
    if (this.#arrived.length === 0) this.#consumer?.proceed()
    let before = this.#reached
    let until = performance.now() + 3 * heartbeat
    while (this.#arrived.length === 0 && this.#reached < through) {
      if (this.#broken !== undefined) throw this.#broken
      const woken = new Promise<void>((resolve) => (this.#wake = resolve))
      await within(woken, until - performance.now())
      if (this.#reached > before) {
        before = this.#reached
        until = performance.now() + 3 * heartbeat
      } else if (performance.now() >= until) {
        throw new Error(
          `The server did not go on reading stream ${this.settings.stream} after ${before}.`,
        )
      }
    }
    return { arrived: this.#arrived.splice(0), through: Math.min(this.#reached, through) }
  }

  /**
   * The highest number above `after`, and not above `through`, that the stream no longer has; a number
   * that is not above `after` where it has all of them. A consumer with a filter skips deleted
   * messages in silence, so the stream is asked, after the messages have arrived.
   */
  async missing(after: number, through: number): Promise<number> {
    const { state } = await this.#look()
    let most = Math.min(Math.max(state.first_seq - 1, this.#lostThrough), through)
    if (!state.num_deleted) return most
    const { deleted } = (await this.#look({ deleted_details: true })).state
    for (const sequence of deleted ?? []) {
      if (sequence > after && sequence <= through) most = Math.max(most, sequence)
    }
    return most
  }

  async close(): Promise<void> {
    this.#break(closedError('JetStream'))
    await this.#consumer?.close(CLOSE_TIMEOUT)
  }

  async #make(filter: readonly string[]): Promise<StreamConsumer> {
    const { stream, after, through } = this.settings
    const { connection, manager } = this.linked
    await this.#consumer?.close(CLOSE_TIMEOUT)
    if (this.#broken !== undefined) throw this.#broken
    const settings = { stream, heartbeat: HEARTBEAT, filter }
    const consumer = new StreamConsumer(connection, manager, settings, {
      message: (message, sequence, time) => {
        if (sequence > after && sequence <= through) this.#arrived.push({ message, sequence, time })
        this.#reach(sequence)
      },
      idle: (sequence) => this.#reach(sequence),
      busy: () => this.#arrived.length > 0,
      broken: (error) => {
        if (this.#consumer !== consumer) return
        this.#break(error ?? new Error('The consumer missed a message.'))
      },
    })
    this.#consumer = consumer
    const from = await consumer.open(after + 1)
    if (from > after) this.#lostThrough = from
    return consumer
  }

  #reach(sequence: number): void {
    this.#reached = Math.max(this.#reached, sequence)
    this.#wake()
  }

  #break(error: Error): void {
    this.#broken ??= error
    this.#wake()
  }

  async #look(options?: { deleted_details: boolean }): Promise<StreamInfo> {
    const { stream, known } = this.settings
    const { streams } = this.linked.manager
    const info = await streams.info(stream, options).catch((error: unknown) => {
      throw this.#broken ?? error
    })
    if (this.#broken !== undefined) throw this.#broken
    const { missed } = place(known, info)
    if (missed !== undefined) throw new Error(missed)
    return info
  }
}
