import type {
  DebugMessage,
  Message,
  PubSub,
  Subscription as LibrarySubscription,
} from '@google-cloud/pubsub'
import { randomUUID } from 'node:crypto'
import type { Subscription } from '../../driver.js'
import { Backoff, inTime, pause, SeenIds, within } from '../../driver-kit/index.js'
import type { SourceEvents } from '../../driver-kit/index.js'
import { answered, Code, codeOf, isTransient, once } from './answers.js'
import { createError, reasonOf } from './errors.js'
import { STREAM_TIMEOUT } from './link.js'
import type { LinkReader, PubSubLink } from './link.js'
import { subscriptionName } from './names.js'

/** How many ids of a broker's topic are remembered at least, against what is delivered again. */
const SEEN = 10_000

/** How long an acknowledgement may take. A message that is delivered again is known by its id. */
const ACK_TIMEOUT = 3_000

export interface ReaderOptions {
  subscribeTimeout: number
  closeTimeout: number
  subscriptionPrefix: string
  /** Milliseconds. */
  expiration: number
  /** Milliseconds. */
  retention: number
  /** See `GooglePubSubDriverOptions.resume`. */
  resume: boolean | undefined
  /** Aborted when the driver is closed. */
  closing: AbortSignal
}

/** One of the broker's topics, read by a subscription of our own. */
export class PubSubReader implements Subscription, LinkReader {
  name: string | undefined
  private subscription: LibrarySubscription | undefined
  private remaking: Promise<void> | undefined
  private resumes = true
  /** Whether the subscription was made anew and has not delivered anything yet. */
  private unproven = false
  private readonly over = new AbortController()
  private readonly backoff = new Backoff()
  private readonly seen = new SeenIds(SEEN)

  constructor(
    private readonly link: PubSubLink,
    private readonly source: string,
    private readonly events: SourceEvents<Message>,
    private readonly options: ReaderOptions,
  ) {
    link.readers.add(this)
  }

  /** Settles when there is a subscription: what is published from then on is kept for it. */
  async open(): Promise<void> {
    try {
      await this.make()
    } catch (error) {
      this.link.readers.delete(this)
      throw error
    }
    this.link.watch()
    await this.attach()
  }

  private async make(): Promise<void> {
    const until = performance.now() + this.options.subscribeTimeout
    const backoff = new Backoff()
    for (;;) {
      const client = await this.unlessClosed(this.link.connected())
      try {
        this.name = await this.create(client, until - performance.now())
        return
      } catch (error) {
        this.options.closing.throwIfAborted()
        const delay = backoff.next()
        // After a silent Pub/Sub there is no time left for another try.
        const again = codeOf(error) === Code.Unavailable || this.link.replaced(client)
        if (!again || performance.now() + delay > until) {
          throw createError(client, this.source, error)
        }
        await this.wait(delay)
      }
    }
  }

  private async create(client: PubSub, timeout: number): Promise<string> {
    const { subscriptionPrefix, expiration, retention, closing } = this.options
    this.resumes = this.options.resume ?? !client.isEmulator
    const name = subscriptionName(subscriptionPrefix, this.source, randomUUID())
    const creating = client.createSubscription(this.source, name, {
      ackDeadlineSeconds: 10,
      enableMessageOrdering: true,
      expirationPolicy: { ttl: seconds(expiration) },
      messageRetentionDuration: seconds(retention),
      gaxOpts: once(timeout),
    })
    const settled = creating.then(ignore, ignore)
    try {
      await answered(this.unlessClosed(creating), timeout)
    } catch (error) {
      // Unless Pub/Sub has refused it, the subscription may exist, now or later.
      if (closing.aborted || isTransient(error)) void this.link.drop(name, settled)
      throw error
    }
    this.link.hears(client)
    return name
  }

  private async attach(): Promise<void> {
    const client = await this.link.connected().catch(ignore)
    // Without one, the link calls `resumed` when it is back.
    if (client === undefined || this.link.lost) return
    if (this.name === undefined || this.subscription !== undefined) return
    if (this.over.signal.aborted) return
    const subscription = client.subscription(this.name, {
      // Messages have an order within one stream, and one carries enough.
      streamingOptions: { maxStreams: 1, timeout: STREAM_TIMEOUT },
      batching: { maxMilliseconds: 20, callOptions: once(ACK_TIMEOUT) },
    })
    this.subscription = subscription
    this.link.streams()
    subscription.on('error', (error: unknown) => this.broken(subscription, error))
    subscription.on('close', () => this.broken(subscription, undefined))
    subscription.on('debug', (note: DebugMessage) => this.noted(subscription, note))
    subscription.on('message', (message: Message) => {
      if (this.subscription !== subscription) return
      message.ack()
      if (!this.seen.add(message.id)) return
      this.unproven = false
      this.backoff.reset()
      this.events.message(message)
    })
  }

  private detach(): void {
    const subscription = this.subscription
    this.subscription = undefined
    // Messages that it could not acknowledge are delivered again.
    if (subscription !== undefined) this.link.ends(subscription.close())
  }

  /** The library has had trouble, and goes on. */
  private noted(subscription: LibrarySubscription, { message, error }: DebugMessage): void {
    if (this.subscription !== subscription) return
    this.link.suspect()
    if (this.resumes || !/stream/i.test(message)) return
    this.subscriptionGone(`Its stream broke (${reasonOf(error) || message}).`)
  }

  /** The library has given it up. */
  private broken(subscription: LibrarySubscription, error: unknown): void {
    if (this.subscription !== subscription) return
    this.detach()
    const code = codeOf(error)
    if (code === Code.NotFound) this.subscriptionGone('It was deleted, or has expired.')
    else if (code === Code.FailedPrecondition) this.subscriptionGone(reasonOf(error))
    else if (code === Code.PermissionDenied || code === Code.Unauthenticated) {
      this.fail(
        `Google Pub/Sub no longer lets this server read ${JSON.stringify(this.source)} ` +
          `(${reasonOf(error)}). It needs pubsub.subscriptions.consume.`,
        error,
      )
    } else if (!this.resumes) {
      this.subscriptionGone(`Its stream broke (${reasonOf(error)}).`)
    } else {
      this.link.suspect()
      void this.wait(this.backoff.next()).then(() => this.attach())
    }
  }

  paused(): void {
    this.detach()
  }

  resumed(outage: number, reopen: boolean): void {
    if (this.remaking !== undefined || this.name === undefined) return
    if (!this.resumes) {
      // A subscription that is still there has not been interrupted.
      if (this.subscription === undefined) this.subscriptionGone('Pub/Sub could not be reached.')
      return
    }
    if (outage > this.options.retention) {
      this.events.gap(
        `Google Pub/Sub could not be reached for ${Math.round(outage / 1_000)} s, which is ` +
          'longer than it keeps messages for.',
      )
    }
    if (reopen) this.detach()
    void this.attach()
  }

  subscriptionGone(reason: string): void {
    if (this.over.signal.aborted) return
    this.remaking ??= this.remake(reason).finally(() => (this.remaking = undefined))
  }

  topicGone(): void {
    const name = JSON.stringify(this.source)
    this.fail(`The topic ${name} was deleted from Google Pub/Sub. Create it and subscribe anew.`)
  }

  clientGone(error: Error): void {
    if (this.over.signal.aborted) return
    this.detach()
    this.events.fail(error)
  }

  /** Makes a new subscription. What was published since the old one was lost is told as a gap. */
  private async remake(reason: string): Promise<void> {
    this.detach()
    const old = this.name
    this.name = undefined
    if (old !== undefined) void this.link.drop(old)
    // A subscription that is lost again and again is made after waits that grow.
    if (this.unproven) await this.wait(this.backoff.next())
    const backoff = new Backoff()
    while (!this.over.signal.aborted) {
      let client: PubSub | undefined
      try {
        client = await this.link.connected()
        const name = await this.create(client, this.options.subscribeTimeout)
        this.name = name
        break
      } catch (error) {
        if (this.options.closing.aborted) return
        const isPassing = isTransient(error) || client === undefined || this.link.replaced(client)
        if (!isPassing) {
          const name = JSON.stringify(this.source)
          return this.fail(
            `The subscription to ${name} was lost (${reason}) and could not be made anew ` +
              `(${reasonOf(error)}).`,
            error,
          )
        }
        this.link.suspect()
        await this.wait(backoff.next())
      }
    }
    if (this.over.signal.aborted) return this.dropNamed()
    // An emulator that has forgotten its subscriptions also begins to count its ids anew.
    this.seen.clear()
    this.unproven = true
    this.events.gap(`The subscription on Google Pub/Sub was lost and made anew. ${reason}`)
    await this.attach()
  }

  private fail(message: string, cause?: unknown): void {
    if (this.over.signal.aborted) return
    this.detach()
    this.events.fail(new Error(message, { cause }))
  }

  async close(): Promise<void> {
    this.over.abort()
    this.link.readers.delete(this)
    this.detach()
    if (this.remaking !== undefined) await within(this.remaking, this.options.closeTimeout)
    await this.dropNamed()
  }

  private async dropNamed(): Promise<void> {
    const name = this.name
    this.name = undefined
    if (name !== undefined) await this.link.drop(name)
  }

  /** Settles early when the reader or the driver is closed. */
  private wait(milliseconds: number): Promise<void> {
    const signal = AbortSignal.any([this.over.signal, this.options.closing])
    return pause(milliseconds, signal, { ref: false })
  }

  /** What `promise` gives, or an error as soon as the driver is closed. */
  private unlessClosed<T>(promise: Promise<T>): Promise<T> {
    return inTime(promise, Infinity, undefined, this.options.closing)
  }
}

function seconds(milliseconds: number): { seconds: number; nanos: number } {
  const whole = Math.floor(milliseconds / 1_000)
  return { seconds: whole, nanos: Math.round((milliseconds - whole * 1_000) * 1e6) }
}

/** The outcome is looked at elsewhere, or is of no use any more. */
function ignore(): undefined {
  return undefined
}
