import { ask, askUntil, connectNow, redisLink } from '../../brokers/redis/connect.js'
import type { RedisLink } from '../../brokers/redis/connect.js'
import type { RedisConnection, RedisServer } from '../../brokers/redis/connection.js'
import { notInTime } from '../../brokers/redis/errors.js'
import type { RedisTiming } from '../../brokers/redis/options.js'
import type { Subscription } from '../../driver.js'
import type { Call } from './epoch.js'
import { firstLook, look } from './look.js'
import type { StreamInfo } from './position.js'
import type { Reach } from '../../driver-kit/index.js'
import { ReadLoop } from './read-loop.js'
import { endsStream, streamNamed, streamRefusal } from './refusal.js'
import { OpenStream } from './stream.js'
import type { StreamEvents } from './stream.js'

/**
 * Opens streams and has them read, over two connections: on one a read waits for entries, see
 * {@link ReadLoop}; on the other, streams are looked up.
 */
export class StreamsReader {
  readonly #control: RedisLink
  readonly #reading: RedisLink
  readonly #loop: ReadLoop

  constructor(
    private readonly server: RedisServer,
    private readonly timing: RedisTiming,
    checkInterval: number,
  ) {
    const { connectTimeout, pingInterval, pingTimeout } = timing
    this.#control = redisLink(server, { connectTimeout, pingInterval, pingTimeout })
    // A read that waits is answered within pingInterval, which shows that the connection lives.
    this.#reading = redisLink(server, { connectTimeout, pingTimeout })
    this.#loop = new ReadLoop(this.#reading, this.#control, timing, checkInterval)
    const over = (error: Error) => this.#loop.endAll(error)
    this.#control.on({ over })
    this.#reading.on({ over })
  }

  /** Whether Redis can be reached: see `Driver.brokerState`. */
  get brokerState(): Reach {
    return this.#reading.state
  }

  async connect(timeout: number): Promise<void> {
    await Promise.all([connectNow(this.#control, timeout), this.#reading.get()])
  }

  /** Reads a stream from its present end. */
  async open(name: string, events: StreamEvents): Promise<Subscription> {
    const seen = await this.#asked(
      name,
      (control, left) => firstLook(this.#call(control, left), name, events.log),
      { also: this.#reading },
    )
    const stream = new OpenStream(name, events, seen)
    this.#loop.add(stream)
    return { close: async () => this.#loop.remove(stream) }
  }

  /** What a stream says of itself now; undefined where it is not there. */
  async look(name: string): Promise<StreamInfo | undefined> {
    return this.#asked(name, (control, left) => look(this.#call(control, left), name))
  }

  /** Has all streams be looked at with the next read. */
  checkSoon(): void {
    this.#loop.checkSoon()
  }

  /** Sends commands on the connection that never waits for entries. */
  async commands(): Promise<Call> {
    const control = await this.#control.get(this.timing.subscribeTimeout)
    return this.#call(control, this.timing.pingTimeout)
  }

  async close(): Promise<void> {
    this.#loop.stop()
    await Promise.all([this.#control.close(), this.#reading.close()])
  }

  /** Asks about a stream, also while Redis is away for a moment or loads what it keeps. */
  #asked<T>(
    name: string,
    question: (control: RedisConnection, left: number) => Promise<T>,
    options: { also?: RedisLink } = {},
  ): Promise<T> {
    const { subscribeTimeout } = this.timing
    const { where } = this.server
    return askUntil(this.#control, performance.now() + subscribeTimeout, question, {
      ...options,
      isOver: endsStream,
      explain: (error) =>
        endsStream(error)
          ? streamRefusal(name, where, error)
          : notInTime(streamNamed(name), where, subscribeTimeout, error),
    })
  }

  #call(control: RedisConnection, timeout: number): Call {
    return (...command) => ask(this.#control, control, command, timeout)
  }
}
