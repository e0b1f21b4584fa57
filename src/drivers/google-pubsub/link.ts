import type { PubSub } from '@google-cloud/pubsub'
import { setTimeout as wait } from 'node:timers/promises'
import { Backoff } from '../../driver-kit/backoff.js'
import { within } from '../../driver-kit/within.js'
import { answered, Code, codeOf, contactError, once } from './answers.js'

/** After an outage as long as this, the library may be waiting for up to a minute. */
const LONG_OUTAGE = 2_000

/** How long what is asked of Pub/Sub at the end may go on once nobody waits for it any more. */
const LINGER = 5_000

/** Of the subscriptions, so many are looked at in one heartbeat: all of them in six. */
const SHARE = 6

/** How long opening a stream may wait for a connection. */
export const STREAM_TIMEOUT = 3_000

/** What a link tells those who read by it. */
export interface LinkReader {
  /** Its subscription, while there is one. */
  readonly name: string | undefined
  /** The link is lost, and with it everything that was opened on the client. */
  paused(): void
  /** The link is back after so many milliseconds. */
  resumed(outage: number, reopen: boolean): void
  subscriptionGone(reason: string): void
  topicGone(): void
  /** The client is closed, by whom it belongs to. */
  clientGone(error: Error): void
}

export interface LinkOptions {
  make: () => Promise<PubSub>
  /** Whether what `make` gives is ours, to be closed and replaced. */
  owned: boolean
  connectTimeout: number
  heartbeat: number
  closeTimeout: number
}

/**
 * One client, and the connection it has. It finds out by itself when that is dead, which the
 * library would notice after five minutes, and then takes another one.
 */
export class PubSubLink {
  readonly readers = new Set<LinkReader>()
  private client: PubSub | undefined
  private connecting: Promise<PubSub> | undefined
  private readonly deleting = new Set<Promise<void>>()
  private readonly ending = new Set<Promise<void>>()
  private readonly backoff = new Backoff()
  private timer: NodeJS.Timeout | undefined
  private beating = false
  private closed = false
  /** When Pub/Sub was last heard of. */
  private heard = 0
  /** When a stream was last opened. */
  private streamed = 0
  /** Whether Pub/Sub does not answer at present. */
  lost = false
  private silences = 0
  private turn = 0

  constructor(private readonly options: LinkOptions) {}

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
      throw new Error('The driver has been closed.')
    }
    this.client = client
    this.heard = performance.now()
    return client
  }

  /** Reads are looked after from now on, if they were not yet. */
  watch(): void {
    if (this.timer === undefined) this.schedule(this.options.heartbeat)
  }

  /** Something has happened that a dead link may be the cause of: look at once. */
  suspect(): void {
    if (!this.lost) this.schedule(0)
  }

  private schedule(delay: number): void {
    clearTimeout(this.timer)
    this.timer = undefined
    const idle = this.readers.size === 0 && this.deleting.size === 0
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
    // Nobody has a subscription just now, or the last one is being deleted.
    if (readers.length === 0) looking.push(this.ask(() => contact(client, patience)))
    const results = await Promise.all(looking)
    this.beating = false
    if (this.closed) return
    if (results.includes('answers')) this.isUp(client)
    else if (!results.includes('silent')) this.isDown()
    // A process that is short of time itself may miss an answer, so it asks twice.
    else if (++this.silences < 2) this.schedule(0)
    else await this.isSilent(client)
  }

  /** Whose turn it is. */
  private next(): LinkReader[] {
    const all = [...this.readers].filter(({ name }) => name !== undefined)
    const count = Math.min(all.length, Math.ceil(all.length / SHARE))
    const turn = this.turn
    this.turn += count
    return Array.from({ length: count }, (_, index) => all[(turn + index) % all.length]!)
  }

  private look(client: PubSub, reader: LinkReader, patience: number) {
    const { name = '' } = reader
    return this.ask(async () => {
      try {
        const asking = client.subscription(name).getMetadata(once(patience))
        const [{ topic, detached }] = await answered(asking, patience)
        if (reader.name !== name) return
        // A subscription outlives its topic, and stays silent.
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
    for (const reader of [...this.readers]) reader.resumed(outage, outage > LONG_OUTAGE)
  }

  /** The connection is open and carries nothing: only another one can. */
  private async isSilent(client: PubSub): Promise<void> {
    this.lost = true
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

  /** Nobody is there. The library goes on trying to connect. */
  private isDown(): void {
    this.lost = true
    this.schedule(this.backoff.next())
  }

  /**
   * Deletes a subscription, and waits for that no longer than `closeTimeout`.
   *
   * @param made Settles when it is there, if it ever is: of one that could not be made in time
   *   nobody knows.
   */
  drop(name: string, made?: Promise<unknown>): Promise<void> {
    const deleting = this.delete(name, made).finally(() => this.deleting.delete(deleting))
    this.deleting.add(deleting)
    this.watch()
    return this.bounded(deleting)
  }

  private async delete(name: string, made: Promise<unknown> | undefined): Promise<void> {
    const until = performance.now() + this.options.closeTimeout + LINGER
    if (made !== undefined) await within(made, until - performance.now())
    const backoff = new Backoff()
    for (let missing = 0; ;) {
      const left = until - performance.now()
      if (left <= 0) return
      const client = this.client
      // The last try is left on its way when the driver is closed.
      const patience = this.closed ? left : Math.min(left, this.options.heartbeat)
      try {
        if (client !== undefined) {
          await answered(client.subscription(name).delete(once(patience)), patience)
          this.hears(client)
          return
        }
      } catch (error) {
        const code = codeOf(error)
        if (code === Code.NotFound && client !== undefined) this.hears(client)
        if (code === Code.NotFound && (made === undefined || ++missing > 3)) return
        // What can't be deleted expires by itself.
        const again = [Code.NotFound, Code.Unavailable, Code.DeadlineExceeded] as number[]
        if (!this.replaced(client) && !again.includes(code ?? 0)) return
      }
      if (this.closed && client === undefined) return
      await wait(backoff.next(), undefined, { ref: false })
    }
  }

  private async bounded(promise: Promise<unknown>): Promise<void> {
    await within(promise, this.options.closeTimeout)
  }

  async close(): Promise<void> {
    this.closed = true
    clearTimeout(this.timer)
    await this.bounded(Promise.all([...this.deleting, ...this.ending]))
    // Where Pub/Sub did not answer in time, what is to be deleted is still asked for a moment.
    const disposed = Promise.all(this.deleting).then(() => {
      const client = this.client
      this.client = undefined
      return client && this.dispose(client)
    })
    await this.bounded(disposed)
  }

  /** A client is about to open a stream. */
  streams(): void {
    this.streamed = performance.now()
  }

  /** Whether what a client said is of no weight, since another one has taken its place. */
  replaced(client: PubSub | undefined): boolean {
    return client !== this.client
  }

  /**
   * Waits for what a reader has closed before its client is closed: one that is used after that
   * by what is still ending gets a connection that nobody closes.
   */
  ends(ending: Promise<unknown>): void {
    const ended = ending.then(ignoreLate, ignoreLate).finally(() => this.ending.delete(ended))
    this.ending.add(ended)
  }

  /** Calls that are still on their way keep their connection until they end. */
  private async dispose(client: PubSub): Promise<void> {
    if (!this.options.owned) return
    // A stream that still waits for a connection would make one for a client that is closed.
    const waiting = this.streamed > this.heard ? this.streamed + STREAM_TIMEOUT : 0
    this.streamed = 0
    await within(Promise.all(this.ending), LINGER)
    const left = waiting - performance.now()
    if (left > 0) await wait(left)
    await client.close().catch(ignoreLate)
  }
}

/** Asks for what can't be there: the answer that it isn't shows all that a contact can. */
async function contact(client: PubSub, timeout: number): Promise<void> {
  const until = performance.now() + timeout
  try {
    // Credentials that can't be read make the library throw where nobody can catch it, so they
    // are read before it is asked for anything. They take their own time.
    if (!client.isEmulator) await answered(client.auth.getClient(), timeout)
    await answered(client.getClientConfig(), until - performance.now())
    const left = until - performance.now()
    const none = client.subscription('unifrost-looks-whether-anybody-answers')
    await answered(none.getMetadata(once(left)), left)
  } catch (error) {
    const code = codeOf(error)
    // Who may not look is known all the same.
    if (code !== Code.NotFound && code !== Code.PermissionDenied) throw error
  }
}

function closedClientError(): Error {
  return new Error(
    'The PubSub given to googlePubSubDriver has been closed. Make a new one and a new driver, or ' +
      'give the configuration and let the driver make its own.',
  )
}

/** A client that is of no use any more may close as it likes. */
function ignoreLate(): void {}
