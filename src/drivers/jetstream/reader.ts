import { Backoff, inTime, noAnswer, within } from '../../driver-kit/index.js'
import { reasonOf } from '../../brokers/nats/jetstream.js'
import type {
  JetStreamConnection,
  JetStreamManager,
  NatsMessage,
  StreamInfo,
} from '../../brokers/nats/jetstream.js'
import { StreamConsumer } from './consumer.js'
import type { ConsumerSettings } from './consumer.js'
import { place } from './position.js'
import type { Position } from './position.js'
import { found, said } from './stream.js'
import type { StreamSettings } from './stream.js'

/** How long `close` waits for a server to say that it has let go. */
export const CLOSE_TIMEOUT = 1_000

export interface ReaderSettings extends ConsumerSettings, StreamSettings {}

/** What the reader of a stream tells. */
export interface ReaderEvents {
  message(message: NatsMessage, sequence: number, time: number): void
  /** @param through The last sequence that may be missing. Undefined where that is not known. */
  gap(reason: string, through?: number): void
  /** The numbers of the stream have begun anew. Reading goes on after this place. */
  anew(reason: string, position: Position): void
  /** Reading begins where the stream ends. */
  begun(info: StreamInfo): void
  /** Everything through here has been told. */
  at(position: Position): void
  fail(error: Error): void
}

/**
 * Reads one stream from its end, in order and without holes: after every break a new consumer goes on
 * after the last message that was read.
 */
export class StreamReader {
  /** Counts how often the numbers of the stream began anew. */
  restarts = 0
  #position: Position | undefined
  #consumer: StreamConsumer | undefined
  #missed: { reason: string; through?: number; anew?: boolean } | undefined
  /** Whether every message of the stream comes here, so that a sequence that is skipped is lost. */
  #dense = false
  #begun = false
  #running = false
  #again = false
  #over = false
  #wake: () => void = () => undefined
  #asking: Promise<StreamInfo> | undefined
  /** Consumers that may still be on the server. */
  readonly #left = new Set<StreamConsumer>()
  readonly #closing = new Set<Promise<void>>()
  readonly #watch: NodeJS.Timeout

  constructor(
    private readonly connection: JetStreamConnection,
    private readonly manager: JetStreamManager,
    private readonly settings: ReaderSettings,
    private readonly events: ReaderEvents,
  ) {
    const { heartbeat } = settings
    this.#watch = setInterval(() => {
      // While the server makes a consumer it is not asked for another one.
      if (this.#running || !this.#consumer) return
      if (performance.now() - this.#consumer.heard > 2 * heartbeat) this.resume()
    }, heartbeat)
    this.#watch.unref()
  }

  /** Begins to read. What is published once it has settled arrives. Rejects with the reason. */
  async open(timeout: number): Promise<void> {
    const until = performance.now() + timeout
    const running = this.#run((error) => {
      return reasonOf(error).kind === 'lost' ? until - performance.now() : 0
    })
    const { stream } = this.settings
    await inTime(running, timeout, () => said(this.connection, stream, noAnswer(timeout)))
    if (this.#over) throw new Error(`Reading stream ${stream} has been ended.`)
  }

  /** Goes on with a new consumer. The old one may have missed something, or is gone. */
  resume(): void {
    if (this.#over) return
    this.#again = true
    this.#wake()
    if (this.#running) return
    let refused: number | undefined
    const patience = (error: unknown) => {
      const { kind } = reasonOf(error)
      if (kind === 'lost') refused = undefined
      else refused ??= performance.now()
      if (kind === 'denied') return 0
      // The stream may be about to be made anew, or the server has just started and looks for it.
      return refused === undefined
        ? Infinity
        : refused + 3 * this.settings.heartbeat - performance.now()
    }
    this.#run(patience).catch((error: unknown) => this.fail(error as Error))
  }

  /** Ends reading for good, and tells why. */
  fail(error: Error): void {
    if (this.#over) return
    this.#stop()
    this.events.fail(error)
  }

  /** What the stream says of itself. It is asked after this call, once for all callers of this turn. */
  look(): Promise<StreamInfo> {
    this.#asking ??= (async () => {
      await new Promise(setImmediate)
      this.#asking = undefined
      const info = await this.manager.streams.info(this.settings.stream)
      // Another stream has taken the place of the one that is read.
      if (this.#position && info.created !== this.#position.created) this.resume()
      return info
    })()
    return this.#asking
  }

  async close(): Promise<void> {
    this.#stop()
    await Promise.all(this.#closing)
  }

  #stop(): void {
    this.#over = true
    clearInterval(this.#watch)
    this.#wake()
    this.#drop()
  }

  /** Lets go of the consumer that is there. */
  #drop(): void {
    const consumer = this.#consumer
    this.#consumer = undefined
    if (consumer) this.#left.add(consumer)
    this.#clear()
  }

  /** Deletes the consumers that were let go of. Those that may still be there are tried again later. */
  #clear(): void {
    for (const consumer of this.#left) {
      const closing = consumer.close(CLOSE_TIMEOUT).then((gone) => {
        if (gone) this.#left.delete(consumer)
        this.#closing.delete(closing)
      })
      this.#closing.add(closing)
    }
  }

  /**
   * Tries until there is a consumer.
   *
   * @param patience How much longer to try, in milliseconds, after this error.
   */
  async #run(patience: (error: unknown) => number): Promise<void> {
    this.#running = true
    const backoff = new Backoff()
    try {
      for (;;) {
        this.#again = false
        const woken = new Promise<void>((resolve) => (this.#wake = resolve))
        try {
          await Promise.race([this.#begin(), woken])
          if (this.#over || !this.#again) return
        } catch (error) {
          if (this.#over) return
          const left = patience(error)
          if (left <= 0) throw said(this.connection, this.settings.stream, error)
          await within(woken, Math.min(left, backoff.next()))
        }
      }
    } finally {
      this.#running = false
    }
  }

  async #begin(): Promise<void> {
    this.#drop()
    const consumer = new StreamConsumer(this.connection, this.manager, this.settings, {
      message: (message, sequence, time) => {
        if (this.#consumer === consumer) this.#message(message, sequence, time)
      },
      idle: (sequence) => {
        if (this.#consumer === consumer) this.#reached(sequence)
      },
      broken: () => {
        if (this.#consumer === consumer) this.resume()
      },
    })
    this.#consumer = consumer
    const info = await found(this.manager, this.settings)
    if (this.#consumer !== consumer) return
    const position = this.#place(info)
    const from = await consumer.open(position.sequence + 1)
    if (this.#consumer !== consumer) return
    if (from > position.sequence) this.#skipped(from)
    const missed = this.#missed
    this.#missed = undefined
    if (missed?.anew) this.events.anew(missed.reason, position)
    else if (!this.#begun) this.events.begun(info)
    else if (missed) this.events.gap(missed.reason, missed.through)
    this.#begun = true
    this.events.at(this.#position as Position)
    consumer.release()
    this.#clear()
  }

  #place(info: StreamInfo): Position {
    const before = this.#position
    const { position, missed } = place(before, info)
    this.#position = position
    // A mirror may leave out messages of the stream that it mirrors, as a filter does.
    this.#dense = this.settings.filter.length === 0 && info.config.mirror === undefined
    if (missed !== undefined) {
      this.restarts++
      this.#missed = { reason: missed, anew: true }
    } else if (before && !this.#dense && (info.state.num_deleted ?? 0) > 0) {
      if (info.state.last_seq > before.sequence) {
        const reason = 'Messages were deleted from the stream, some perhaps before they were read.'
        this.#missed ??= { reason, through: info.state.last_seq }
      }
    }
    return position
  }

  #message(message: NatsMessage, sequence: number, time: number): void {
    const position = this.#position as Position
    if (sequence <= position.sequence) return
    if (this.#dense && sequence > position.sequence + 1) this.#lost(sequence - 1)
    this.#position = { ...position, sequence, time }
    this.events.message(message, sequence, time)
    this.events.at(this.#position)
  }

  /** No more messages come up to this sequence. */
  #reached(sequence: number): void {
    const position = this.#position as Position
    if (sequence <= position.sequence) return
    if (this.#dense) this.#lost(sequence)
    this.#position = { ...position, sequence }
    this.events.at(this.#position)
  }

  /** The consumer begins later than it was asked to: the messages in between are gone. */
  #skipped(through: number): void {
    const position = this.#position as Position
    this.#missed ??= { reason: this.#dropped(position.sequence, through), through }
    this.#position = { ...position, sequence: through }
  }

  #lost(through: number): void {
    this.events.gap(this.#dropped((this.#position as Position).sequence, through), through)
  }

  #dropped(after: number, through: number): string {
    return `The stream dropped messages ${after + 1} to ${through} before they were read.`
  }
}
