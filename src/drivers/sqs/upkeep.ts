import { pause } from '../../driver-kit/index.js'
import type { Aws } from './aws.js'
import { isGone, isRefusal } from './errors.js'

/** The tag by which a queue's owner says when it was last alive, in seconds since 1970. */
export const ALIVE = 'unifrost-alive'

export interface UpkeepOptions {
  /** What the names of our queues begin with. */
  prefix: string
  /** How often a queue is tagged as alive and its subscriptions are looked at. */
  heartbeat: number
  /** A queue whose tag is older was left behind by a server that has crashed. */
  sweepAfter: number
}

/** The queue that is kept up, with what sends to it. */
export interface Kept {
  url(): string | undefined
  /** The subscriptions, by topic. */
  subscriptions(): ReadonlyMap<string, string | undefined>
  /** The topic's subscription is not there any more. */
  missing(topic: string): void
}

/**
 * What has to be done from time to time: looking whether subscriptions are still there, which AWS
 * does not tell when it ends; and deleting the queues of servers that have crashed.
 */
export class Upkeep {
  private readonly stopping = new AbortController()
  /** Queues that were swept, whose subscriptions are still there. */
  private readonly dead = new Set<string>()
  private swept = -Infinity
  private warned = false

  constructor(
    private readonly aws: Aws,
    private readonly options: UpkeepOptions,
    private readonly kept: Kept,
  ) {
    void this.run()
  }

  stop(): void {
    this.stopping.abort()
  }

  /** Deletes what crashed servers have left at a topic. */
  clean(topic: string): void {
    if (this.dead.size > 0) void this.attempt(() => this.unsubscribeDead(topic))
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping
    while (!signal.aborted) {
      if (performance.now() - this.swept >= this.options.sweepAfter) {
        this.swept = performance.now()
        await this.attempt(() => this.sweep())
      }
      await pause(this.options.heartbeat, signal)
      if (signal.aborted) return
      await this.attempt(() => this.beat())
      await this.attempt(() => this.check())
    }
  }

  /** Does the work, or leaves it for the next time where the link is down or a queue has just gone. */
  private async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (this.warned || this.stopping.signal.aborted) return
      if (!isRefusal(error) || isGone(error)) return
      this.warned = true
      process.emitWarning(
        `sqsDriver can't keep its queues up: ${(error as Error).message} Without it, what crashed ` +
          "servers leave stays, or other servers take this one's queue for one of those.",
      )
    }
  }

  private async beat(): Promise<void> {
    const url = this.kept.url()
    if (url) await this.aws.tag(url, { [ALIVE]: String(Math.floor(Date.now() / 1_000)) })
  }

  private async check(): Promise<void> {
    for (const [topic, subscription] of [...this.kept.subscriptions()]) {
      if (this.stopping.signal.aborted) return
      const there = subscription === undefined || (await this.aws.subscriptionExists(subscription))
      if (!there && this.kept.subscriptions().get(topic) === subscription) this.kept.missing(topic)
    }
  }

  private async sweep(): Promise<void> {
    for (const url of await this.aws.queues(this.options.prefix)) {
      if (this.stopping.signal.aborted) return
      if (url !== this.kept.url()) await this.attempt(() => this.sweepOne(url))
    }
  }

  private async sweepOne(url: string): Promise<void> {
    const alive = Number((await this.aws.tags(url))[ALIVE])
    if (!alive || Date.now() - alive * 1_000 < this.options.sweepAfter) return
    this.dead.add(await this.aws.queueArn(url))
    for (const topic of [...this.kept.subscriptions().keys()]) await this.unsubscribeDead(topic)
    await this.aws.deleteQueue(url)
  }

  private async unsubscribeDead(topic: string): Promise<void> {
    for (const [queue, subscription] of await this.aws.subscriptions(topic)) {
      if (this.dead.has(queue)) await this.aws.unsubscribe(subscription)
    }
  }
}
