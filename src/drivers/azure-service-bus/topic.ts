import { randomUUID } from 'node:crypto'
import type { ServiceBusReceivedMessage, ServiceBusReceiver } from '@azure/service-bus'
import type { Subscription } from '../../driver.js'
import { Closings, inTime, retryUntil, within } from '../../driver-kit/index.js'
import type { AtOnce, Link, SourceEvents } from '../../driver-kit/index.js'
import type { Clients } from './clients.js'
import { explain, isRefusal, isUnsent } from './errors.js'
import { closeQuietly, forgetToken } from './library-internals.js'

/** How long letting go of something may take, and how much longer for each further topic. */
export const CLOSE_TIMEOUT = 1_500
export const CLOSE_EACH = 20
const RECEIVER_TIMEOUT = 500
/** How long a request to make a subscription may arrive after one to delete it, in milliseconds. */
const LATE = 1_000

/** After how long without a reader the service deletes a subscription by itself, in milliseconds. */
const EXPIRES = 300_000

/** How many messages the service may send before it hears that we have taken them. */
const CREDIT = 100

export interface TopicOptions {
  /** How long one step of opening may take, in milliseconds. */
  connectTimeout: number
  /** What the names of the subscriptions begin with. */
  prefix: string
}

/** What a driver's topics share. */
export interface Shared {
  readonly options: TopicOptions
  readonly link: Link<Clients>
  /** What is opened at once. The time-outs of a topic begin when it is let in. */
  readonly opening: AtOnce
  /** What is deleted at once. */
  readonly ending: AtOnce
  readonly topics: Set<ServiceBusTopic>
}

/** A subscription on the broker, and what reads it. */
interface BrokerSubscription {
  readonly name: string
  readonly clients: Clients
  readonly stop: AbortController
  /** Whether the broker has not answered that it is made: it may make it yet. */
  unsure?: boolean
  receiver?: ServiceBusReceiver
}

/**
 * A topic of the broker's. It is read through a subscription of our own, which is given up for a
 * new one when its link is lost: the broker may not know that yet, and would
 * send messages there that are not received.
 */
export class ServiceBusTopic implements Subscription {
  /** What `close` waits for: what is being made, and what is being deleted. */
  private readonly closings = new Closings('Azure Service Bus')
  /** Aborted when `close` has taken as long as it may: nothing more is tried. */
  private readonly over = new AbortController()
  private current: BrokerSubscription | undefined
  private ready = false

  constructor(
    readonly name: string,
    private readonly events: SourceEvents<ServiceBusReceivedMessage>,
    private readonly shared: Shared,
  ) {
    shared.topics.add(this)
  }

  private get what(): string {
    return `Topic ${JSON.stringify(this.name)}`
  }

  get receiver(): ServiceBusReceiver | undefined {
    return this.current?.receiver
  }

  async open(): Promise<void> {
    try {
      await this.shared.opening.run(async () => this.read(await this.subscribed()))
      this.ready = true
    } catch (error) {
      await this.close()
      throw explain(this.what, this.shared.link.where, error)
    }
  }

  /** The link is lost: what was on its way has not come, and a new subscription is made. */
  lost(subscription: BrokerSubscription | undefined, cause: unknown): void {
    if (!this.ready || !subscription || this.current !== subscription) return
    if (this.closings.signal.aborted) return
    this.letGo(subscription)
    this.current = undefined
    void this.restore(String((cause as Error | undefined)?.message ?? cause))
  }

  /** The connection does not answer any more. */
  stalled(cause: unknown): void {
    this.lost(this.current, cause)
  }

  private async restore(cause: string): Promise<void> {
    const { signal } = this.closings
    try {
      const subscription = await retryUntil(
        Infinity,
        () => this.shared.opening.run(() => this.subscribed()),
        { again: (error) => !isRefusal(error), signal },
      )
      // From here on the broker keeps for us what is published.
      this.events.gap(`The link to Azure Service Bus was lost and is back (${cause}).`)
      const opening = this.shared.opening.run(() => this.read(subscription))
      opening.catch((error: unknown) => this.lost(subscription, error))
    } catch (error) {
      if (!signal.aborted) this.events.fail(explain(this.what, this.shared.link.where, error))
    }
  }

  /** Makes a subscription. When this settles, the broker keeps what is published for it. */
  private async subscribed(): Promise<BrokerSubscription> {
    const clients = await this.shared.link.get()
    return this.closings.add(this.create(clients))
  }

  private async create(clients: Clients): Promise<BrokerSubscription> {
    const { prefix, connectTimeout } = this.shared.options
    const { where } = this.shared.link
    const name = `${prefix}${randomUUID()}`
    const subscription: BrokerSubscription = { name, clients, stop: new AbortController() }
    const abort = new AbortController()
    const creating = clients.admin.createSubscription(this.name, name, {
      autoDeleteOnIdle: `PT${EXPIRES / 60_000}M`,
      defaultMessageTimeToLive: 'PT1H',
      abortSignal: AbortSignal.any([this.closings.signal, abort.signal]),
    })
    const late = () => new Error(`no answer from ${where} within ${connectTimeout} ms`)
    let isMade = false
    try {
      // The library would ask again by itself, maybe when the subscription has been deleted.
      await inTime(creating, connectTimeout, late).finally(() => abort.abort())
      isMade = true
      this.shared.link.heard()
      this.closings.check()
    } catch (error) {
      // It may be there all the same, unless it was refused.
      subscription.unsure = !isMade
      if (isRefusal(error)) this.shared.link.heard()
      else if (!this.closings.signal.aborted) this.shared.link.silent(error)
      if (isMade || !(isRefusal(error) || isUnsent(error))) this.letGo(subscription)
      throw error
    }
    this.current = subscription
    return subscription
  }

  /** Settles when the link is open. Rejects with the first error before that. */
  private async read(subscription: BrokerSubscription): Promise<void> {
    const { connectTimeout } = this.shared.options
    const { name, clients, stop } = subscription
    const receiver = clients.client.createReceiver(this.name, name, {
      receiveMode: 'receiveAndDelete',
      skipParsingBodyAsJson: true,
    })
    subscription.receiver = receiver
    let open = false
    const opening = new Promise<void>((resolve, reject) => {
      const handlers: Handlers = {
        // Where it is asked for again, the library makes the link anew.
        preInitialize: async () => {
          if (open) this.lost(subscription, 'the library has opened the link anew')
        },
        postInitialize: async () => {
          open = true
          resolve()
        },
        processMessage: async (message) => {
          if (this.current === subscription) this.events.message(message)
        },
        processError: async ({ error }) => {
          if (open) this.lost(subscription, error)
          else reject(error)
        },
      }
      const options = { maxConcurrentCalls: CREDIT, abortSignal: stop.signal }
      receiver.subscribe(handlers, options)
      closeQuietly(receiver)
    })
    const late = () => new Error(`no link to ${this.shared.link.where} within ${connectTimeout} ms`)
    await inTime(opening, connectTimeout, late)
  }

  /**
   * @param timeout How long it may take, in milliseconds.
   * @param linkEnds Whether the connection is closed next: its links go with it.
   */
  close(timeout = CLOSE_TIMEOUT, linkEnds = false): Promise<void> {
    this.shared.topics.delete(this)
    this.ready = false
    return this.closings.close(async () => {
      if (this.current) this.letGo(this.current, linkEnds)
      this.current = undefined
      await this.closings.idle(timeout)
      this.over.abort()
    })
  }

  /**
   * Deletes a subscription, in several tries until `close` is over, or it has expired by itself.
   */
  private letGo(subscription: BrokerSubscription, linkEnds = false): void {
    subscription.stop.abort()
    const { receiver } = subscription
    const hangUp = async () => {
      if (receiver && !linkEnds) await within(receiver.close(), RECEIVER_TIMEOUT)
    }
    const work = async () => {
      // The receiver goes first. If the broker closed its link in the same moment, there would be an
      // error that nothing listens for.
      await hangUp()
      if (receiver) forgetToken(receiver)
      const deleted = this.deletion(subscription)
      try {
        await retryUntil(performance.now() + EXPIRES, deleted, { signal: this.over.signal })
      } catch {
        return
      }
      // A receiver that was closed while its connection was lost comes back with the next one.
      await hangUp()
    }
    void this.closings.add(this.shared.ending.run(work))
  }

  /** Makes one try after another to delete it. A try fails where the broker does not answer. */
  private deletion({ name, clients, unsure }: BrokerSubscription): () => Promise<void> {
    let answeredAt: number | undefined
    const isAbsent = () => {
      answeredAt ??= performance.now()
      return !unsure || performance.now() - answeredAt >= LATE
    }
    return async () => {
      const attempt = new AbortController()
      const abortSignal = AbortSignal.any([this.over.signal, attempt.signal])
      const asked = clients.admin.deleteSubscription(this.name, name, { abortSignal })
      try {
        await inTime(asked, CLOSE_TIMEOUT)
      } catch (error) {
        attempt.abort()
        if (!isRefusal(error) || !isAbsent()) throw error
      }
    }
  }
}

/** The library calls two handlers that its types lack: before and after it opens the link. */
interface Handlers {
  preInitialize(): Promise<void>
  postInitialize(): Promise<void>
  processMessage(message: ServiceBusReceivedMessage): Promise<void>
  processError(args: { error: Error }): Promise<void>
}
