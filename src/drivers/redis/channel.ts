import type { Subscription } from '../../driver.js'
import type { SourceEvents } from '../../driver-kit/sources.js'
import { within } from '../../driver-kit/within.js'
import { isReply, refusal } from './connection.js'
import type { RedisConnection } from './connection.js'
import type { RedisLink } from './link.js'

/** How long `close` waits for a server to say that it has let go. */
const CLOSE_TIMEOUT = 1_000

interface Message {
  channel: string
  payload: Buffer
}

/** One channel, subscribed to on each connection in turn. */
export class RedisChannel implements Subscription {
  #connection: RedisConnection | undefined
  #confirmed = false
  /** Why something was missed, until it is told. */
  #missed: string | undefined
  #refusal: Error | undefined
  #wake: () => void = () => undefined
  readonly #settled = new Promise<void>((resolve) => (this.#wake = resolve))

  constructor(
    private readonly name: string,
    private readonly events: SourceEvents<Message>,
    private readonly link: RedisLink,
    private readonly channels: Set<RedisChannel>,
  ) {
    channels.add(this)
  }

  /** Subscribes on a connection, the first one or the next. */
  attach(connection: RedisConnection): void {
    this.#connection = connection
    if (this.#confirmed) this.#missed = `The link to Redis at ${this.link.server.where} was lost.`
    const listener = (payload: Buffer) => {
      if (this.#connection === connection) this.#message(payload)
    }
    connection.subscribe(this.name, listener).then(
      () => {
        if (this.#connection === connection) this.#restored()
      },
      (error: unknown) => {
        // A lost connection is followed by another; what Redis says is about this channel.
        if (this.#connection !== connection || !isReply(error)) return
        const what = `channel ${JSON.stringify(this.name)}`
        this.end(refusal(what, this.link.server.where, error))
      },
    )
  }

  /** Settles when Redis has confirmed the channel. */
  async opened(left: number, timeout: number): Promise<void> {
    const outcome = await within(this.#settled, left)
    const refused = this.#refusal
    if (outcome !== 'late' && refused === undefined) return
    await this.close()
    if (refused !== undefined) throw refused
    throw new Error(
      `Redis at ${this.link.server.where} did not confirm channel ${JSON.stringify(this.name)} ` +
        `within ${timeout} ms. Check that it is up and reachable.`,
    )
  }

  #message(payload: Buffer): void {
    this.link.heard()
    // The answer to SUBSCRIBE is told a turn later than a message that stands right behind it.
    this.#restored()
    this.#tell(() => this.events.message({ channel: this.name, payload }))
  }

  /** Redis sends the channel, again perhaps: from here on nothing is missed. */
  #restored(): void {
    this.#confirmed = true
    this.#wake()
    const reason = this.#missed
    if (reason === undefined) return
    this.#missed = undefined
    this.#tell(() => this.events.gap(reason))
  }

  /** It is over, and whoever reads it is told. */
  end(error: Error): void {
    if (!this.channels.delete(this)) return
    this.#connection = undefined
    if (this.#confirmed) this.#tell(() => this.events.fail(error))
    else this.#refuse(error)
  }

  /** Its driver is being closed. */
  abandon(reason: Error): void {
    this.channels.delete(this)
    this.#connection = undefined
    this.#refuse(reason)
  }

  #refuse(error: Error): void {
    this.#refusal ??= error
    this.#wake()
  }

  async close(): Promise<void> {
    this.channels.delete(this)
    const connection = this.#connection
    this.#connection = undefined
    if (connection === undefined || this.link.current !== connection) return
    await within(connection.unsubscribe(this.name), CLOSE_TIMEOUT)
  }

  /** An error thrown into the library would end its connection. */
  #tell(call: () => void): void {
    try {
      call()
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error))
    }
  }
}
