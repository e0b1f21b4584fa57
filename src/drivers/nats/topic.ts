import { setImmediate } from 'node:timers/promises'
import type {
  NatsConnection,
  NatsMessage,
  NatsSubscription,
} from '../../brokers/nats/connection.js'
import type { Payload, Sink, Subscription } from '../../driver.js'
import { Attachment, checkedPayload, inTime, within } from '../../driver-kit/index.js'
import type { ChoosePayload } from '../../driver-kit/index.js'

/** How long `close` waits for a server to say that it has let go. */
const CLOSE_TIMEOUT = 1_000

/** What a topic is read from, and what of it is sent. */
export interface NatsReading {
  readonly name: string
  readonly subject: string
  readonly payload: ChoosePayload<NatsMessage> | undefined
}

/** One subject, subscribed to for one topic. */
export class NatsTopic implements Subscription {
  readonly #connection: NatsConnection
  readonly #subject: string
  readonly #sink: Sink
  readonly #topics: Set<NatsTopic>
  readonly #subscription: NatsSubscription
  readonly #attachment: Attachment<[Payload]>
  #ready = false
  #refusal: Error | undefined
  #wake: () => void = () => undefined

  constructor(
    connection: NatsConnection,
    { name, subject, payload }: NatsReading,
    sink: Sink,
    topics: Set<NatsTopic>,
  ) {
    this.#connection = connection
    this.#subject = subject
    this.#sink = sink
    this.#topics = topics
    this.#attachment = new Attachment(sink)
    this.#subscription = connection.subscribe(subject, {
      callback: (error, message) => {
        if (error) this.ended(notAllowed(subject, error))
        else if (payload === undefined) this.#attachment.message(message.data)
        else this.#choose(message, name, payload)
      },
    })
    topics.add(this)
  }

  /** Settles when the server has confirmed the subscription. When it rejects, nothing is left. */
  async opened(timeout: number, closing: AbortSignal): Promise<this> {
    try {
      await inTime(this.#confirmed(), timeout, () => this.#unconfirmed(timeout), closing)
      return this
    } catch (error) {
      this.release()
      throw error
    }
  }

  #choose({ subject, data }: NatsMessage, name: string, payload: ChoosePayload<NatsMessage>): void {
    let chosen: Payload
    try {
      chosen = checkedPayload(payload({ subject, data }, name))
    } catch (error) {
      this.#sink.gap(`payload failed on a message of ${subject}: ${String(error)}`)
      return
    }
    this.#attachment.message(chosen)
  }

  async #confirmed(): Promise<void> {
    for (;;) {
      const woken = new Promise<'woken'>((resolve) => (this.#wake = () => resolve('woken')))
      const flushed = this.#connection.flush().then(
        () => 'confirmed' as const,
        // The library restores a subscription after a reconnect, but not a flush: that is ours.
        () => woken,
      )
      const outcome = await Promise.race([flushed, woken])
      // The reason for a refusal comes through a queue of the library, a little later than the
      // answer that follows it.
      if (outcome === 'confirmed') await setImmediate()
      this.#check()
      if (outcome !== 'confirmed') continue
      this.#ready = true
      this.#attachment.restored()
      return
    }
  }

  #check(): void {
    if (this.#refusal) throw this.#refusal
    if (this.#subscription.isClosed()) throw new Error('The connection to NATS is being closed.')
  }

  #unconfirmed(timeout: number): Error {
    return new Error(
      `NATS at ${this.#connection.getServer()} did not confirm the subscription to ` +
        `${JSON.stringify(this.#subject)} within ${timeout} ms. Check that it is up and reachable.`,
    )
  }

  /**
   * The link is back and the library has asked for the subject again, but the server need not
   * have heard that yet: what is published just now may still be missed.
   */
  reconnected(reason: string): void {
    this.#attachment.missed(reason)
    this.#wake()
  }

  /** The server delivers the subject again: from here on nothing is missed. */
  restored(): void {
    if (this.#ready) this.#attachment.restored()
  }

  /** The server refused something, without saying what. It may have been this subject. */
  refused(error: Error): void {
    if (!this.#ready) this.ended(error)
  }

  ended(error: Error): void {
    if (!this.#topics.has(this)) return
    if (this.#ready) {
      this.release()
      this.#sink.fail(error)
    } else {
      this.#refusal = error
      this.#wake()
    }
  }

  /** Lets go of it here; the server hears of it when it can. */
  release(): void {
    if (this.#topics.delete(this)) this.#subscription.unsubscribe()
  }

  async close(): Promise<void> {
    if (!this.#topics.has(this)) return
    this.release()
    if (this.#connection.isClosed()) return
    await within(this.#connection.flush(), CLOSE_TIMEOUT)
  }
}

function notAllowed(subject: string, cause: Error): Error {
  return new Error(
    `NATS does not let this connection subscribe to ${JSON.stringify(subject)} ` +
      `(${cause.message}). Allow it in the subscribe permissions of the user.`,
    { cause },
  )
}
