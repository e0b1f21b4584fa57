import type { Client } from './client.js'
import type { LogSink, LogSubscription } from '../log.js'
import type { Frame } from '../wire/frame.js'
import { TopicLog } from './history.js'
import type { Membership } from './membership.js'
import type { Timer } from '../clock.js'

/** What a topic needs of its Streamer. */
export interface TopicHost {
  /** A message, in the driver's words. */
  received(topic: Topic, payload: string | Uint8Array, number?: number, shared?: boolean): void
  /** Messages may be missing. */
  gapped(topic: Topic, reason: string, through?: number): void
  /** The broker's subscription is over. */
  failed(topic: Topic, error: Error): void
}

/**
 * One broker subscription, shared by all its clients, and its frames.
 *
 * It is also the {@link LogSink} that the driver calls. Calls that come before the driver's
 * `subscribe` has been entered or after the topic is over do not count.
 */
export class Topic implements LogSink {
  readonly log: TopicLog
  /** All its subscribed clients, connected or not; dense, in no order. */
  readonly members: Membership[] = []
  /** Their clients, in the same order: what is walked for each message. */
  readonly audience: Client[] = []
  /** Its frames that have not yet been given to those who keep up. */
  fresh: Frame[] = []
  /** Settles when the broker has opened the topic, or has refused it. */
  opened: Promise<void> = Promise.resolve()
  /** Whether `opened` has resolved. */
  isOpen = false
  /** Settles when the topic is closed; undefined before that has begun. Never rejects. */
  closed: Promise<void> | undefined = undefined
  /** Waits for the moment to let the topic go. */
  lingering: Timer | undefined = undefined
  /** Not let go before this time, by the clock: a client that left may come back. */
  heldUntil = 0
  /** Whether it has been said that messages were refused: one line per cause. */
  hasRefused = false
  private over = false
  private subscription: LogSubscription | undefined

  constructor(
    readonly name: string,
    private readonly host: TopicHost,
    startsAfter: number,
    /** Whether the driver has a log. */
    logged = false,
  ) {
    this.log = new TopicLog(startsAfter, name, logged)
  }

  /** Whether the broker has ended the subscription, or the topic was closed. */
  get isOver(): boolean {
    return this.over
  }

  /** Opens the topic on the broker. Called once. */
  open(subscribe: (sink: LogSink) => Promise<LogSubscription>): Promise<void> {
    this.opened = this.openWith(subscribe)
    return this.opened
  }

  /** Lets the topic go on the broker. The second call waits for the first. */
  close(report: (error: unknown) => void): Promise<void> {
    this.over = true
    this.closed ??= this.opened
      .then(() => this.subscription?.close())
      // A topic that never opened has nothing to let go; its opener has been told why.
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

  message(payload: string | Uint8Array, number?: number, shared?: boolean): void {
    if (!this.over) this.host.received(this, payload, number, shared)
  }

  gap(reason: string, through?: number): void {
    if (!this.over) this.host.gapped(this, reason, through)
  }

  fail(error: Error): void {
    if (this.over) return
    this.over = true
    this.host.failed(this, error)
  }

  private async openWith(subscribe: (sink: LogSink) => Promise<LogSubscription>): Promise<void> {
    this.subscription = await subscribe(this)
    this.isOpen = true
    const { position } = this.subscription
    if (position !== undefined) this.beginAt(position)
  }

  /** The driver says from where in its log on the topic is read here. */
  private beginAt(position: number): void {
    const { log } = this
    log.evictedThrough = Math.max(log.evictedThrough, position)
    for (const membership of this.members) {
      const older = membership.awaits && membership.rewind === undefined
      if (!older) membership.since = Math.max(membership.since, log.evictedThrough)
      membership.awaits = false
    }
  }
}
