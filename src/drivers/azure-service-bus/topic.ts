import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { ServiceBusReceivedMessage, ServiceBusReceiver } from '@azure/service-bus'
import type { Subscription } from '../../driver.js'
import { Backoff } from '../toolbox/backoff.js'
import type { SourceEvents } from '../toolbox/sources.js'
import { within } from '../toolbox/within.js'
import { explain, isRefusal } from './clients.js'
import type { Clients } from './clients.js'

/** How long letting go of something may take. */
export const CLOSE_TIMEOUT = 1_500
const RECEIVER_TIMEOUT = 500

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
  /** The clients to use now. */
  clients(): Promise<Clients>
  readonly topics: Set<ServiceBusTopic>
}

/** A subscription of the broker's, and what reads it. */
interface Reading {
  readonly name: string
  readonly clients: Clients
  readonly stop: AbortController
  receiver?: ServiceBusReceiver
}

/**
 * A topic of the broker's. It is read through a subscription of our own, which is given up for a
 * new one when its link is lost: the broker may not know yet that the link is, and would send
 * messages there that nobody gets.
 */
export class ServiceBusTopic implements Subscription {
  private readonly closing = new AbortController()
  private readonly ending = new Set<Promise<void>>()
  private reading: Reading | undefined
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
    return this.reading?.receiver
  }

  async open(): Promise<void> {
    try {
      const reading = await this.subscribed()
      await this.read(reading)
      this.ready = true
    } catch (error) {
      const { where } = await this.shared.clients()
      await this.close()
      throw explain(this.what, where, error)
    }
  }

  /** The link is lost: what was on its way has not come, and a new subscription is made. */
  lost(reading: Reading | undefined, cause: unknown): void {
    if (!this.ready || !reading || this.reading !== reading || this.closing.signal.aborted) return
    this.letGo(reading)
    this.reading = undefined
    void this.restore(String((cause as Error | undefined)?.message ?? cause))
  }

  /** The connection does not answer any more. */
  stalled(cause: Error): void {
    this.lost(this.reading, cause)
  }

  private async restore(cause: string): Promise<void> {
    const backoff = new Backoff()
    while (!this.closing.signal.aborted) {
      try {
        const reading = await this.subscribed()
        // From here on the broker keeps for us what is published.
        this.events.gap(`The link to Azure Service Bus was lost and is back (${cause}).`)
        this.read(reading).catch((error: unknown) => this.lost(reading, error))
        return
      } catch (error) {
        if (this.closing.signal.aborted) return
        if (isRefusal(error)) {
          const { where } = await this.shared.clients()
          return this.events.fail(explain(this.what, where, error))
        }
        await pause(backoff.next(), undefined, { signal: this.closing.signal }).catch(ignoreClose)
      }
    }
  }

  /** Makes a subscription. When this settles, the broker keeps what is published for it. */
  private async subscribed(): Promise<Reading> {
    const clients = await this.shared.clients()
    const { prefix, connectTimeout } = this.shared.options
    const reading = { name: `${prefix}${randomUUID()}`, clients, stop: new AbortController() }
    const creating = clients.admin.createSubscription(this.name, reading.name, {
      autoDeleteOnIdle: 'PT5M',
      defaultMessageTimeToLive: 'PT1H',
      abortSignal: this.closing.signal,
    })
    const made = await within(creating, connectTimeout)
    try {
      if (made === 'failed') await creating
      if (made === 'late') {
        throw new Error(`no answer from ${clients.where} within ${connectTimeout} ms`)
      }
      if (this.closing.signal.aborted) throw new Error('The topic has been closed.')
    } catch (error) {
      // It may be there all the same, unless it was refused.
      if (!isRefusal(error)) this.letGo(reading)
      throw error
    }
    this.reading = reading
    return reading
  }

  /** Settles when the link is open; rejects with the first that goes wrong before. */
  private async read(reading: Reading): Promise<void> {
    const { connectTimeout } = this.shared.options
    const { name, clients, stop } = reading
    const receiver = clients.client.createReceiver(this.name, name, {
      receiveMode: 'receiveAndDelete',
      skipParsingBodyAsJson: true,
    })
    reading.receiver = receiver
    let open = false
    const opening = new Promise<void>((resolve, reject) => {
      const handlers: Handlers = {
        // Where it is asked for again, the library makes the link anew.
        preInitialize: async () => {
          if (open) this.lost(reading, 'the library has opened the link anew')
        },
        postInitialize: async () => {
          open = true
          resolve()
        },
        processMessage: async (message) => {
          if (this.reading === reading) this.events.message(message)
        },
        processError: async ({ error }) => {
          if (open) this.lost(reading, error)
          else reject(error)
        },
      }
      const options = { maxConcurrentCalls: CREDIT, abortSignal: stop.signal }
      receiver.subscribe(handlers, options)
    })
    const outcome = await within(opening, connectTimeout)
    if (outcome === 'failed') return opening
    if (outcome === 'late') {
      throw new Error(`no link to ${clients.where} within ${connectTimeout} ms`)
    }
  }

  async close(): Promise<void> {
    this.shared.topics.delete(this)
    this.ready = false
    if (this.reading) this.letGo(this.reading)
    this.reading = undefined
    await within(Promise.all(this.ending), CLOSE_TIMEOUT)
    this.closing.abort()
  }

  /** Without an answer it is tried again until `close`; after that, idleness ends it. */
  private letGo({ name, clients, stop, receiver }: Reading): void {
    stop.abort()
    const work = async () => {
      // A link that the broker closes while we do is an error that nobody listens for any more.
      // A broker that does not answer may still hear us delete the subscription.
      if (receiver) await within(receiver.close(), RECEIVER_TIMEOUT)
      const backoff = new Backoff()
      while (!this.closing.signal.aborted) {
        const { signal } = this.closing
        const asked = clients.admin.deleteSubscription(this.name, name, { abortSignal: signal })
        const deleting = asked.then(
          () => 'gone' as const,
          (error: unknown) => (isRefusal(error) ? ('gone' as const) : ('failed' as const)),
        )
        if ((await within(deleting, CLOSE_TIMEOUT)) === 'gone') return
        await pause(backoff.next(), undefined, { signal }).catch(ignoreClose)
      }
    }
    const ending = work().finally(() => this.ending.delete(ending))
    this.ending.add(ending)
  }
}

/** The library calls two more than it has in its types: around each opening of the link. */
interface Handlers {
  preInitialize(): Promise<void>
  postInitialize(): Promise<void>
  processMessage(message: ServiceBusReceivedMessage): Promise<void>
  processError(args: { error: Error }): Promise<void>
}

/** Whoever pauses looks at the signal. */
function ignoreClose(): void {}
