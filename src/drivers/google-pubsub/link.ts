import type { PubSub } from '@google-cloud/pubsub'
import { Backoff, closedError, pause, within } from '../../driver-kit/index.js'
import { answered, Code, codeOf, once } from './answers.js'
import { contact } from './client.js'
import { Deletions, LINGER } from './deletions.js'
import { contactError } from './errors.js'

/** After an outage as long as this, the library may be waiting for up to a minute. */
const LONG_OUTAGE = 2_000

/** How many heartbeats it takes to look at every subscription once. */
const SHARE = 6

/** How long opening a stream may wait for a connection. */
export const STREAM_TIMEOUT = 3_000

/** A reader of a link, and what the link tells it. */
export interface LinkReader {
  /** Its subscription, while there is one. */
  readonly name: string | undefined
  /** The link is lost, and with it everything that was opened on the client. */
  paused(): void
  /** The link is back after so many milliseconds. */
  resumed(outage: number, reopen: boolean): void
  subscriptionGone(reason: string): void
  topicGone(): void
  /** The client is closed by the user, to whom it belongs. */
  clientGone(error: Error): void
}

export interface LinkOptions {
  make: () => Promise<PubSub>
  /** Whether what `make` gives is ours, to be closed and replaced. */
  owned: boolean
  connectTimeout: number
  /** Pub/Sub does not answer any more, or answers again: `PubSubLink.lost` has changed. */
  changed: () => void
  heartbeat: number
  closeTimeout: number
}

/**
 * One client with its connection. The link asks for signs of life, and makes another client when the
 * connection is dead, which the library would notice after five minutes.
 */
export class PubSubLink {
  readonly readers = new Set<LinkReader>()
  /** The client that is used now. */
  client: PubSub | undefined
  private connecting: Promise<PubSub> | undefined
  private readonly deletions: Deletions
  private readonly ending = new Set<Promise<void>>()
  private readonly backoff = new Backoff()
  private timer: NodeJS.Timeout | undefined
  private beating = false
  /** Whether the driver is being closed. */
  closed = false
  /** When Pub/Sub was last heard of. */
  private heard = 0
  /** When a stream was last opened. */
  private streamed = 0
  /** Whether Pub/Sub does not answer at present. */
  lost = false
  private silences = 0
  /** Which reader is looked at next. */
  private position = 0

  constructor(private readonly options: LinkOptions) {
    this.deletions = new Deletions(this, options)
  }

  /** The client, once Pub/Sub has answered it. */
  async connected(): Promise<PubSub> {
    if (this.client?.isOpen === false && !this.options.owned) throw closedClientError()
    if (this.client !== undefined) return this.client
    this.connecting ??= this.connect().finally(() => (this.connecting = undefined))
    return this.connecting
  }

  private async connect(): Promise<PubSub> {
    const { make, connectTimeout } = this.options
    const client = await make()
    if (!client.isOpen) throw closedClientError()
    try {
      await contact(client, connectTimeout)
    } catch (error) {
      void this.dispose(client)
      throw contactError(client, error)
    }
    if (this.closed) {
      void this.dispose(client)
      throw closedError('Google Pub/Sub')
    }
    this.client = client
    this.heard = performance.now()
    return client
  }

  /** Begins the heartbeats, unless they have begun. */
  watch(): void {
    if (this.timer === undefined) this.schedule(this.options.heartbeat)
  }

  /** Something has happened that a dead link may have caused: asks Pub/Sub at once. */
  suspect(): void {
    if (!this.lost) this.schedule(0)
  }

  private schedule(delay: number): void {
    clearTimeout(this.timer)
    this.timer = undefined
    const idle = this.readers.size === 0 && this.deletions.size === 0
    if (this.closed || this.beating || idle) return
    this.timer = setTimeout(() => {
      this.timer = undefined
      void this.beat()
    }, delay)
    this.timer.unref()
  }

  private async beat(): Promise<void> {
    const client = this.client
    if (client === undefined) return
    if (!client.isOpen) {
      for (const reader of [...this.readers]) reader.clientGone(closedClientError())
      return
    }
    this.beating = true
    const { heartbeat, connectTimeout } = this.options
    const patience = this.lost ? Math.max(heartbeat, connectTimeout) : heartbeat
    const readers = this.next()
    const looking = readers.map((reader) => this.look(client, reader, patience))
    // There is no subscription just now, or the last one is being deleted.
    if (readers.length === 0) looking.push(this.ask(() => contact(client, patience)))
    const results = await Promise.all(looking)
    this.beating = false
    if (this.closed) return
    if (results.includes('answers')) this.isUp(client)
    else if (!results.includes('silent')) this.isDown()
    // A busy process may read an answer too late, so it asks twice.
    else if (++this.silences < 2) this.schedule(0)
    else await this.isSilent(client)
  }

  /** The readers whose subscriptions are looked at in this heartbeat. */
  private next(): LinkReader[] {
    const all = [...this.readers].filter(({ name }) => name !== undefined)
    const count = Math.min(all.length, Math.ceil(all.length / SHARE))
    const first = this.position
    this.position += count
    return Array.from({ length: count }, (_, index) => all[(first + index) % all.length]!)
  }

  private look(client: PubSub, reader: LinkReader, patience: number) {
    const { name = '' } = reader
    return this.ask(async () => {
      try {
        const asking = client.subscription(name).getMetadata(once(patience))
        const [{ topic, detached }] = await answered(asking, patience)
        if (reader.name !== name) return
        // A deleted topic leaves its subscriptions behind, which deliver nothing.
        if (topic === '_deleted-topic_') reader.topicGone()
        else if (detached) reader.subscriptionGone('It was detached from its topic.')
      } catch (error) {
        if (codeOf(error) !== Code.NotFound) throw error
        if (reader.name === name) reader.subscriptionGone('It was deleted, or has expired.')
      }
    })
  }

  private async ask(call: () => Promise<void>): Promise<'answers' | 'silent' | 'away'> {
    try {
      await call()
    } catch (error) {
      const code = codeOf(error)
      if (code === Code.DeadlineExceeded) return 'silent'
      if (code === Code.Unavailable) return 'away'
    }
    return 'answers'
  }

  private isUp(client: PubSub): void {
    this.hears(client)
    this.schedule(this.options.heartbeat)
  }

  /** A client has been answered, which says that it has a connection. */
  hears(client: PubSub): void {
    if (this.replaced(client)) return
    const outage = performance.now() - this.heard
    this.heard = performance.now()
    this.silences = 0
    this.backoff.reset()
    if (!this.lost) return
    this.lost = false
    this.options.changed()
    for (const reader of [...this.readers]) reader.resumed(outage, outage > LONG_OUTAGE)
  }

  /** The connection is open and carries nothing, so another one is made. */
  private async isSilent(client: PubSub): Promise<void> {
    this.lost = true
    this.options.changed()
    this.silences = 0
    if (this.options.owned) {
      const made = await this.options.make()
      if (this.closed) return void this.dispose(made)
      this.client = made
      for (const reader of this.readers) reader.paused()
      void this.dispose(client)
    }
    this.schedule(this.backoff.next())
  }

  /** Nothing listens there. The library goes on trying to connect. */
  private isDown(): void {
    this.lost = true
    this.options.changed()
    this.schedule(this.backoff.next())
  }

  /** Deletes a subscription: see {@link Deletions.add}. */
  drop(name: string, made?: Promise<unknown>): Promise<void> {
    const deleted = this.deletions.add(name, made)
    this.watch()
    return deleted
  }

  async close(): Promise<void> {
    const { closeTimeout } = this.options
    this.closed = true
    clearTimeout(this.timer)
    await within(Promise.all([this.deletions.done(), ...this.ending]), closeTimeout)
    // Where Pub/Sub did not answer in time, the deletions go on for a moment.
    const disposed = this.deletions.done().then(() => {
      const client = this.client
      this.client = undefined
      return client && this.dispose(client)
    })
    await within(disposed, closeTimeout)
  }

  /** A client is about to open a stream. */
  streams(): void {
    this.streamed = performance.now()
  }

  /** Whether another client has taken this one's place, so that what it says does not count. */
  replaced(client: PubSub | undefined): boolean {
    return client !== this.client
  }

  /**
   * Has the client stay open until what a reader closes has ended. A closed client that is used
   * again opens a connection that nobody closes.
   */
  ends(ending: Promise<unknown>): void {
    const ended = ending.then(ignore, ignore).finally(() => this.ending.delete(ended))
    this.ending.add(ended)
  }

  /** Closes a client of ours, when the calls that are under way have ended. */
  private async dispose(client: PubSub): Promise<void> {
    if (!this.options.owned) return
    // A stream that still waits for a connection would make one for a client that is closed.
    const waiting = this.streamed > this.heard ? this.streamed + STREAM_TIMEOUT : 0
    this.streamed = 0
    await within(Promise.all(this.ending), LINGER)
    const left = waiting - performance.now()
    if (left > 0) await pause(left)
    await client.close().catch(ignore)
  }
}

function closedClientError(): Error {
  return new Error(
    'The PubSub given to googlePubSubDriver has been closed. Make a new one and a new driver, or ' +
      'give the configuration and let the driver make its own.',
  )
}

/** How something ends that is of no use any more makes no difference. */
function ignore(): void {}
