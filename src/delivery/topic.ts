import type { Timer } from '../clock.js'
import type { Payload, Sink, Subscription } from '../driver.js'
import type { Frame } from '../wire/frame.js'
import type { Client } from './client.js'
import type { TopicHistory } from './history.js'
import type { Keeping } from './keeping.js'
import type { Membership } from './membership.js'

/** Where a message stands in a driver's log. */
export interface LogPlace {
  readonly number: number
  /** Whether the entry goes to other topics here, too. */
  readonly shared: boolean
}

/** What a topic tells its Streamer. */
export interface TopicHost {
  /** A message, as the driver handed it over; from a driver with a log, with its place there. */
  received(topic: Topic, payload: Payload, place?: LogPlace): void
  /** Messages may be missing; with a log, through this number. */
  gapped(topic: Topic, reason: string, through?: number): void
  /** The broker's subscription is over. */
  failed(topic: Topic, error: Error): void
}

/**
 * One broker subscription, shared by all its clients, and its frames.
 *
 * It is also the {@link Sink} that the driver calls. It ignores calls that come after it is over.
 */
export class Topic implements Sink {
  /** All its subscribed clients, connected or not; dense, in no order. */
  readonly members: Membership[] = []
  /** The members' clients, in the members' order. Each message walks them. */
  readonly audience: Client[] = []
  /** Its frames that are not written to the live clients yet. */
  fresh: Frame[] = []
  /** Settles when the broker has opened the topic, or has refused it. */
  opened: Promise<void> = Promise.resolve()
  /** Whether `opened` has resolved. */
  isOpen = false
  /** A position up to this number was given out before the broker had opened the topic. */
  unheardThrough = -1
  /** Settles when the topic is closed; undefined before that has begun. Never rejects. */
  closed: Promise<void> | undefined = undefined
  /** Ends when the topic is let go, while it has no clients. */
  lingering: Timer | undefined = undefined
  /** How long its frames may wait to be written together with others, in milliseconds. */
  delay = 0
  /** The topic is not let go before this time, by the clock: a client that left may come back. */
  heldUntil = 0
  /** The number of its end in the history; undefined while more may come. */
  endedAt: number | undefined = undefined
  /** Whether its last message has come: what follows is ignored. */
  isEnding = false
  /** What it keeps beside its history; undefined where no entry of `topics` matches it. */
  keeping: Keeping | undefined = undefined
  /** Whether the log has a line that messages of this topic were refused: one line per cause. */
  hasRefused = false
  private over = false
  private subscription: Subscription | undefined

  constructor(
    readonly name: string,
    protected readonly host: TopicHost,
    readonly history: TopicHistory,
  ) {}

  /** Whether the broker has ended the subscription, or the topic was closed. */
  get isOver(): boolean {
    return this.over
  }

  /** Opens the topic on the broker. Called once. */
  open(subscribe: (sink: Sink) => Promise<Subscription>): Promise<void> {
    this.opened = this.openWith(subscribe)
    return this.opened
  }

  /** Lets the topic go on the broker. The second call waits for the first. */
  close(report: (error: unknown) => void): Promise<void> {
    this.over = true
    this.closed ??= this.opened
      .then(() => this.subscription?.close())
      // A topic that never opened has nothing to let go; the caller of `subscribe` was told why.
      .catch((error: unknown) => {
        if (this.isOpen) report(error)
      })
    return this.closed
  }

  join(membership: Membership): void {
    membership.index = this.members.push(membership) - 1
    this.audience.push(membership.client)
  }

  leave(membership: Membership): void {
    const last = this.members.pop()!
    this.audience.pop()
    if (last !== membership) {
      this.members[membership.index] = last
      this.audience[membership.index] = last.client
      last.index = membership.index
    }
    membership.index = -1
  }

  message(payload: Payload): void {
    if (!this.over) this.host.received(this, payload)
  }

  gap(reason: string): void {
    if (!this.over) this.host.gapped(this, reason)
  }

  fail(error: Error): void {
    if (this.over) return
    this.over = true
    this.host.failed(this, error)
  }

  /** The broker has opened the topic. */
  protected begin(_subscription: Subscription): void {
    // Without a log, it begins with the next message.
  }

  private async openWith(subscribe: (sink: Sink) => Promise<Subscription>): Promise<void> {
    this.subscription = await subscribe(this)
    this.isOpen = true
    this.begin(this.subscription)
  }
}
