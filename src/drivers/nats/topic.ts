import type { Sink, Subscription } from '../../driver.js'
import { within } from '../toolbox/within.js'
import type { NatsConnection, NatsSubscription } from './connection.js'

/** How long `close` waits for a server to say that it has let go. */
export const CLOSE_TIMEOUT = 1_000

/** One subject, subscribed to for one topic. */
export class NatsTopic implements Subscription {
  readonly #connection: NatsConnection
  readonly #subject: string
  readonly #sink: Sink
  readonly #topics: Set<NatsTopic>
  readonly #subscription: NatsSubscription
  #ready = false
  /** Whether a message that is missing from now on would leave a hole. */
  #counts = false
  #refusal: Error | undefined
  /** Why something was missed, until the sink is told. */
  #missed: string | undefined
  #wake: () => void = () => undefined

  constructor(connection: NatsConnection, subject: string, sink: Sink, topics: Set<NatsTopic>) {
    this.#connection = connection
    this.#subject = subject
    this.#sink = sink
    this.#topics = topics
    this.#subscription = connection.subscribe(subject, {
      callback: (error, message) => {
        if (error) return this.ended(notAllowed(subject, error))
        this.restored()
        this.#counts = true
        this.#tell(() => sink.message(message.data))
      },
    })
    topics.add(this)
  }

  /** Settles when the server has confirmed the subscription. */
  async opened(timeout: number): Promise<void> {
    const until = performance.now() + timeout
    for (;;) {
      const woken = new Promise<'woken'>((resolve) => (this.#wake = () => resolve('woken')))
      const confirmed = this.#connection.flush().then(() => 'confirmed' as const)
      let outcome = await within(Promise.race([confirmed, woken]), until - performance.now())
      // The reason for a refusal comes through a queue of the library, a little later than the
      // answer that follows it.
      if (outcome === 'confirmed') await new Promise(setImmediate)
      this.#check()
      if (outcome === 'confirmed') break
      // The library restores a subscription after a reconnect, but not a flush: that is ours.
      if (outcome === 'failed') outcome = await within(woken, until - performance.now())
      this.#check()
      if (outcome === 'late') throw this.#unconfirmed(timeout)
    }
    this.#ready = this.#counts = true
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
    if (this.#counts) this.#missed = reason
    this.#wake()
  }

  /** The server sends the subject again: from here on nothing is missed. */
  restored(): void {
    const reason = this.#missed
    if (reason === undefined || !this.#topics.has(this)) return
    this.#missed = undefined
    this.#tell(() => this.#sink.gap(reason))
  }

  /** The server refused something, without saying what: it may have been this. */
  refused(error: Error): void {
    if (!this.#ready) this.ended(error)
  }

  ended(error: Error): void {
    if (!this.#topics.has(this)) return
    if (this.#ready) {
      this.release()
      this.#tell(() => this.#sink.fail(error))
    } else {
      this.#refusal = error
      this.#wake()
    }
  }

  /** Lets go of it without a word: its driver is being closed. */
  abandon(reason: Error): void {
    this.#refusal = reason
    this.#wake()
    this.release()
  }

  release(): void {
    if (this.#topics.delete(this)) this.#subscription.unsubscribe()
  }

  async close(): Promise<void> {
    if (!this.#topics.has(this)) return
    this.release()
    if (this.#connection.isClosed()) return
    await within(this.#connection.flush(), CLOSE_TIMEOUT)
  }

  /** An error thrown into the library would silence its whole connection. */
  #tell(call: () => void): void {
    try {
      call()
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error))
    }
  }
}

function notAllowed(subject: string, cause: Error): Error {
  return new Error(
    `NATS does not let this connection subscribe to ${JSON.stringify(subject)} ` +
      `(${cause.message}). Allow it in the subscribe permissions of the user.`,
    { cause },
  )
}
