import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { ServiceBusReceivedMessage, ServiceBusReceiver } from '@azure/service-bus'
import type { Subscription } from '../../driver.js'
import type { AtOnce } from '../../driver-kit/at-once.js'
import { Backoff } from '../../driver-kit/backoff.js'
import type { SourceEvents } from '../../driver-kit/sources.js'
import { within } from '../../driver-kit/within.js'
import { explain, isRefusal } from './clients.js'
import type { Clients } from './clients.js'
import { closeQuietly, forgetToken } from './inside.js'

/** How long letting go of something may take, and how much longer for each further topic. */
export const CLOSE_TIMEOUT = 1_500
export const CLOSE_EACH = 20
const RECEIVER_TIMEOUT = 500
/** How long after an answer a subscription may still be made that was asked for before. */
const LATE = 1_000

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
  /** Whose turn it is. What waits for it does not wait for the broker yet: no time-out runs. */
  readonly opening: AtOnce
  readonly ending: AtOnce
  readonly topics: Set<ServiceBusTopic>
}

/** A subscription of the broker's, and what reads it. */
interface Reading {
  readonly name: string
  readonly clients: Clients
  readonly stop: AbortController
  /** Whether it was asked for, and nothing was said: the broker may make it yet. */
  unsure?: boolean
  receiver?: ServiceBusReceiver
}

/**
 * A topic of the broker's. It is read through a subscription of our own, which is given up for a
 * new one when its link is lost: the broker may not know yet that the link is, and would send
 * messages there that nobody gets.
 */
export class ServiceBusTopic implements Subscription {
  /** Aborted when `close` begins: nothing more is made. */
  private readonly closing = new AbortController()
  /** Aborted when `close` has taken as long as it may: nothing more is tried. */
  private readonly over = new AbortController()
  /** What `close` waits for: what is being made, and what is being deleted. */
  private readonly busy = new Set<Promise<unknown>>()
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
      await this.shared.opening.run(async () => this.read(await this.subscribed()))
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
        const reading = await this.shared.opening.run(() => this.subscribed())
        // From here on the broker keeps for us what is published.
        this.events.gap(`The link to Azure Service Bus was lost and is back (${cause}).`)
        const opening = this.shared.opening.run(() => this.read(reading))
        opening.catch((error: unknown) => this.lost(reading, error))
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
    return this.during(this.create(clients))
  }

  private async create(clients: Clients): Promise<Reading> {
    const { prefix, connectTimeout } = this.shared.options
    const name = `${prefix}${randomUUID()}`
    const reading: Reading = { name, clients, stop: new AbortController() }
    const abort = new AbortController()
    const creating = clients.admin.createSubscription(this.name, reading.name, {
      autoDeleteOnIdle: 'PT5M',
      defaultMessageTimeToLive: 'PT1H',
      abortSignal: AbortSignal.any([this.closing.signal, abort.signal]),
    })
    const made = await within(creating, connectTimeout)
    // The library would ask again by itself, maybe when the subscription has been deleted.
    abort.abort()
    try {
      if (made === 'failed') await creating
      if (made === 'late') {
        throw new Error(`no answer from ${clients.where} within ${connectTimeout} ms`)
      }
      if (this.closing.signal.aborted) throw new Error('The topic has been closed.')
    } catch (error) {
      // It may be there all the same, unless it was refused.
      reading.unsure = made === 'late' || made === 'failed'
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
      closeQuietly(receiver)
    })
    const outcome = await within(opening, connectTimeout)
    if (outcome === 'failed') return opening
    if (outcome === 'late') {
      throw new Error(`no link to ${clients.where} within ${connectTimeout} ms`)
    }
  }

  /**
   * @param timeout How long it may take, in milliseconds.
   * @param linkEnds Whether the connection is closed next: its links go with it.
   */
  async close(timeout = CLOSE_TIMEOUT, linkEnds = false): Promise<void> {
    this.shared.topics.delete(this)
    this.ready = false
    this.closing.abort()
    if (this.reading) this.letGo(this.reading, linkEnds)
    this.reading = undefined
    await within(this.idle(), timeout)
    this.over.abort()
  }

  private async idle(): Promise<void> {
    while (this.busy.size > 0) await Promise.allSettled(this.busy)
  }

  private during<T>(work: Promise<T>): Promise<T> {
    const done = () => this.busy.delete(work)
    this.busy.add(work)
    work.then(done, done)
    return work
  }

  /** Without an answer it is tried again until `close` is over; after that, idleness ends it. */
  private letGo(reading: Reading, linkEnds = false): void {
    const { name, clients, stop, receiver, unsure } = reading
    stop.abort()
    let answeredAt: number | undefined
    const isAbsent = () => {
      answeredAt ??= performance.now()
      return !unsure || performance.now() - answeredAt >= LATE
    }
    const work = async () => {
      // A link that the broker closes while we do is an error that nobody listens for any more.
      // A broker that does not answer may still hear us delete the subscription.
      if (receiver && !linkEnds) await within(receiver.close(), RECEIVER_TIMEOUT)
      if (receiver) forgetToken(receiver)
      const backoff = new Backoff()
      while (!this.over.signal.aborted) {
        const attempt = new AbortController()
        const abortSignal = AbortSignal.any([this.over.signal, attempt.signal])
        const asked = clients.admin.deleteSubscription(this.name, name, { abortSignal })
        const deleting = asked.then(
          () => 'gone' as const,
          (error: unknown) =>
            isRefusal(error) && isAbsent() ? ('gone' as const) : ('failed' as const),
        )
        const outcome = await within(deleting, CLOSE_TIMEOUT)
        // Closed while its connection was lost, it would come back with the next one.
        if (outcome === 'gone') {
          if (receiver && !linkEnds) await within(receiver.close(), RECEIVER_TIMEOUT)
          return
        }
        attempt.abort()
        const { signal } = this.over
        await pause(backoff.next(), undefined, { signal }).catch(ignoreClose)
      }
    }
    void this.during(this.shared.ending.run(work))
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
