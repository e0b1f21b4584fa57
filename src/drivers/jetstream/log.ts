import { createHash, randomUUID } from 'node:crypto'
import type { Log, LogEntry } from '../../log.js'
import { Watchers } from '../../driver-kit/index.js'
import type { StreamInfo } from '../../brokers/nats/jetstream.js'
import { endOf, place } from './position.js'
import type { Position } from './position.js'

/** What the log needs of its driver. */
export interface LogHost {
  /** What the stream says of itself; it is asked after this call. Rejects with what to do. */
  look(): Promise<StreamInfo>
  /** Reads a part of the stream again. It rejects if the stream is not the one of `known` any more. */
  read(
    topics: readonly string[],
    range: { after: number; through: number; known: Position },
  ): AsyncIterable<LogEntry>
}

/** A stream as the log of its driver: its epoch, and how far it has been read. */
export class StreamLog implements Log {
  onRestart: (() => void) | undefined = undefined
  epoch: string | undefined = undefined
  secret: string | undefined = undefined
  #last: Position | undefined
  #closed = false
  readonly #watchers = new Watchers()

  /** @param timeout How long anything may take, in milliseconds. */
  constructor(
    private readonly stream: string,
    private readonly timeout: number,
    private readonly host: LogHost,
  ) {}

  get position(): number {
    return this.#last?.sequence ?? 0
  }

  async open(): Promise<void> {
    if (this.epoch === undefined) await this.host.look()
    if (this.epoch === undefined) throw new Error(`Stream ${this.stream} was let go. Try again.`)
  }

  async reach(number: number): Promise<boolean> {
    if (number <= this.position) return true
    const until = performance.now() + this.timeout
    // A server that can't be asked has not said that there is such a number.
    const info = await this.host.look().catch(() => undefined)
    if (info === undefined || info.state.last_seq < number) return false
    return this.#wait(number, until - performance.now())
  }

  async *read(topics: readonly string[], after: number, through: number): AsyncGenerator<LogEntry> {
    if (after >= through) return
    if (this.#last === undefined) throw new Error(`Stream ${this.stream} has not been opened.`)
    yield* this.host.read(topics, { after, through, known: this.#last })
  }

  /** Everything through here has been handed on, or was for no topic that is open. */
  at(position: Position): void {
    if (this.#last !== undefined && position.sequence <= this.#last.sequence) return
    this.#last = position
    this.#watchers.look()
  }

  /** Goes to the end of the stream. No topic is open, so what was stored since was for none. */
  skip(info: StreamInfo): void {
    const { missed } = place(this.#last, info)
    if (this.#last === undefined || missed !== undefined) this.restart(endOf(info))
    else this.at(endOf(info))
  }

  /**
   * The stream's numbers have begun anew, or are those of another stream.
   *
   * @returns whether the Streamer has been told.
   */
  restart(position: Position): boolean {
    const { created, inMemory } = position
    // Normally all servers derive the epoch from when the stream was made. That does not do for a
    // stream that went back to smaller numbers, or one in memory that begins anew with its server:
    // there the time of making says nothing of the contents. Such an epoch is for this process only.
    const alone = inMemory || created === this.#last?.created
    const name = JSON.stringify([this.stream, created, alone ? randomUUID() : ''])
    const isFirst = this.epoch === undefined
    this.epoch = createHash('sha256').update(name).digest('hex').slice(0, 12)
    // When the stream was made, to the nanosecond, is what its users know and clients don't.
    this.secret = createHash('sha256').update(`secret ${name}`).digest('base64url')
    this.#last = position
    this.#watchers.look()
    if (isFirst || this.onRestart === undefined) return false
    this.onRestart()
    return true
  }

  /** Ends all waiting. */
  close(): void {
    this.#closed = true
    this.#watchers.look()
  }

  /** Whether the log reaches a number within `timeout` milliseconds. */
  async #wait(number: number, timeout: number): Promise<boolean> {
    const { epoch } = this
    const isThere = () => number <= this.position
    const isOver = () => isThere() || this.#closed || epoch !== this.epoch
    await this.#watchers.until(isOver, timeout)
    return isThere() && epoch === this.epoch
  }
}
