import { randomUUID } from 'node:crypto'
import type { Message } from '@aws-sdk/client-sqs'
import type { Subscription } from '../../driver.js'
import { Backoff, Closings, retryUntil, SeenIds, within } from '../../driver-kit/index.js'
import type { SourceEvents } from '../../driver-kit/index.js'
import type { Aws } from './aws.js'
import { explain, isRefusal } from './errors.js'
import { fromTopic, PROBE, SEEN } from './message.js'
import type { SqsMessage } from './message.js'
import { Poll } from './poll.js'
import type { PollOptions } from './poll.js'
import { QueueSubscriptions } from './queue-subscriptions.js'
import { Topic } from './topic.js'
import { ALIVE, Upkeep } from './upkeep.js'
import type { UpkeepOptions } from './upkeep.js'

/** How long letting go of something may take, and how much longer for each topic. */
const CLOSE_TIMEOUT = 3_500
const CLOSE_EACH = 20

export interface ServerQueueOptions extends PollOptions, UpkeepOptions {
  subscribeTimeout: number
  probe: boolean
}

/** The queue that is read now, or was until it broke. */
interface Queue {
  readonly url: string
  readonly subscriptions: QueueSubscriptions
  poll?: Poll
}

/**
 * The queue of this process, to which all topics that it reads send. When the answer of a poll is
 * lost, the queue is given up for a new one: AWS goes on with the lost poll for some seconds, and
 * hands messages of the old queue to it.
 */
export class ServerQueue {
  private readonly topics = new Map<string, Topic>()
  private readonly seen = new SeenIds(SEEN)
  /** What is being let go of, while the queue is open and when it is closed. */
  private readonly closings = new Closings('SQS')
  /** Aborted when closing has taken as long as it may. */
  private readonly givingUp = new AbortController()
  private current: Promise<Queue> | undefined
  /** The latest attempt to make a queue. */
  private making: Promise<Queue> | undefined
  private queue: Queue | undefined
  private upkeep: Upkeep | undefined
  /** The name and tags of a queue that AWS may have made. It is tried again with these. */
  private unsure: { name: string; tags: Record<string, string> } | undefined

  constructor(
    private readonly aws: Aws,
    private readonly fifo: boolean,
    private readonly options: ServerQueueOptions,
  ) {}

  /** Makes the queue, unless it is there. */
  async made(): Promise<Queue> {
    if (!this.current) {
      const making = this.make()
      this.current = making
      making.catch(() => {
        if (this.current === making) this.current = undefined
      })
    }
    return this.current
  }

  async open(arn: string, events: SourceEvents<SqsMessage>): Promise<Subscription> {
    const topic = new Topic(arn, events)
    this.topics.set(arn, topic)
    const { subscribeTimeout } = this.options
    let late: Error | undefined
    const timer = setTimeout(() => {
      late = new Error(`nothing has come through from it within ${subscribeTimeout} ms`)
      topic.cancel(late)
    }, subscribeTimeout)
    try {
      for (;;) {
        const cancelled = topic.cancellable()
        const queue = await Promise.race([this.made(), cancelled])
        try {
          await this.attach(topic, queue, cancelled)
          break
        } catch (error) {
          if (late || this.closing.aborted || this.queue === queue) throw error
          // The queue has broken. Its successor is tried next.
        }
      }
    } catch (error) {
      await this.release(topic)
      throw explain(`Reading ${arn}`, this.aws.where, error)
    } finally {
      clearTimeout(timer)
    }
    topic.ready = true
    return { close: () => this.release(topic) }
  }

  close(): Promise<void> {
    return this.closings.close(async () => {
      this.upkeep?.stop()
      const topics = [...this.topics.values()]
      this.topics.clear()
      for (const topic of topics) topic.cancel(this.closing.reason)
      await within(this.letGo(), CLOSE_TIMEOUT + CLOSE_EACH * topics.length)
      this.givingUp.abort()
    })
  }

  private async letGo(): Promise<void> {
    // A queue that is being made now is let go of when it is there.
    await this.making?.catch(() => undefined)
    const queue = await this.current?.catch(() => undefined)
    if (queue) this.discard(queue)
    else if (this.unsure) await this.aws.deleteByName(this.unsure.name)
    await this.closings.idle()
  }

  /** Aborted when this is closed. */
  private get closing(): AbortSignal {
    return this.closings.signal
  }

  private make(): Promise<Queue> {
    this.making = this.create()
    return this.making
  }

  private async create(): Promise<Queue> {
    const name = `${this.options.prefix}${randomUUID()}${this.fifo ? '.fifo' : ''}`
    this.unsure ??= { name, tags: { [ALIVE]: String(Math.floor(Date.now() / 1_000)) } }
    const { url, arn } = await this.aws.createQueue(this.unsure.name, this.unsure.tags)
    this.unsure = undefined
    const queue: Queue = { url, subscriptions: new QueueSubscriptions(this.aws, arn) }
    if (this.closing.aborted) {
      this.discard(queue)
      this.closings.check()
    }
    queue.poll = new Poll(this.aws, url, this.options, {
      message: (message) => this.message(message),
      broken: (error) => this.broke(queue, error),
    })
    this.queue = queue
    this.upkeep ??= new Upkeep(this.aws, this.options, {
      url: () => this.queue?.url,
      subscriptions: () => this.queue?.subscriptions.known ?? new Map<string, undefined>(),
      missing: (arn) => this.missing(arn),
    })
    return queue
  }

  private message(received: Message): void {
    const message = fromTopic(received)
    const topic = message && this.topics.get(message.source)
    if (!topic) return
    const probe = message.attributes[PROBE]
    if (probe !== undefined) {
      if (topic.probe?.id === probe) this.arrived(topic)
    } else if (topic.live && this.seen.add(message.id)) topic.events.message(message)
  }

  /** From here on, whatever the topic sends to our queue is handed over. */
  private arrived(topic: Topic): void {
    const { probe } = topic
    topic.probe = undefined
    topic.live = true
    topic.attachment.restored()
    probe?.arrived()
  }

  /** Settles when what is published to the topic comes through to `queue`. */
  private async attach(topic: Topic, queue: Queue, cancelled: Promise<never>): Promise<void> {
    this.closings.check()
    if (this.queue !== queue) throw new Error('The queue has been given up.')
    await Promise.race([queue.subscriptions.subscribe(topic.arn), cancelled])
    if (this.options.probe) await this.proved(topic, cancelled)
    else this.arrived(topic)
    this.upkeep?.clean(topic.arn)
  }

  /** AWS may take seconds until a subscription works, and drops what comes before that. */
  private async proved(topic: Topic, cancelled: Promise<never>): Promise<void> {
    const id = randomUUID()
    const arriving = new Promise<void>((resolve) => (topic.probe = { id, arrived: resolve }))
    const outcome = Promise.race([arriving, cancelled])
    const backoff = new Backoff({ first: 500, cap: 4_000 })
    do await Promise.race([this.aws.publishProbe(topic.arn, PROBE, id), outcome])
    while ((await within(outcome, backoff.next())) === 'late')
    await outcome
  }

  private broke(queue: Queue, error: unknown): void {
    if (this.closing.aborted || this.queue !== queue) return
    this.discard(queue)
    this.queue = this.current = undefined
    const { message } = explain('Reading the queue', this.aws.where, error)
    for (const topic of this.topics.values()) {
      topic.interrupt(message)
      topic.cancel(error)
    }
    if (this.topics.size === 0) return
    const remaking = retryUntil(Infinity, () => this.make(), {
      again: (error) => !isRefusal(error),
      signal: this.closing,
    })
    this.current = remaking
    remaking.then(
      (made) => {
        for (const topic of this.topics.values()) if (topic.ready) void this.restore(topic, made)
      },
      (reason: unknown) => {
        if (this.current === remaking) this.current = undefined
        for (const topic of [...this.topics.values()]) if (topic.ready) this.fail(topic, reason)
      },
    )
  }

  private async restore(topic: Topic, queue: Queue): Promise<void> {
    const isCurrent = () => this.topics.get(topic.arn) === topic && this.queue === queue
    const attach = async () => {
      if (isCurrent()) await this.attach(topic, queue, topic.cancellable())
    }
    const again = (error: unknown) => isCurrent() && !isRefusal(error)
    try {
      await retryUntil(Infinity, attach, { again, signal: this.closing })
    } catch (error) {
      if (isCurrent() && isRefusal(error)) this.fail(topic, error)
    }
  }

  /** The subscription of a topic was deleted, perhaps with the topic. */
  private missing(arn: string): void {
    const { queue } = this
    const topic = this.topics.get(arn)
    if (!queue || !topic?.ready || !topic.live) return
    topic.interrupt(`The subscription of ${arn} was deleted, and has been made anew.`)
    void this.restore(topic, queue)
  }

  private fail(topic: Topic, error: unknown): void {
    topic.events.fail(explain(`Reading ${topic.arn}`, this.aws.where, error))
  }

  private async release(topic: Topic): Promise<void> {
    if (this.topics.get(topic.arn) === topic) this.topics.delete(topic.arn)
    topic.cancel(new Error('The topic has been closed.'))
    // Where this fails, the queue remembers the subscription, and takes it along when it goes.
    if (this.queue && !this.closing.aborted) {
      await within(this.queue.subscriptions.unsubscribe(topic.arn), CLOSE_TIMEOUT)
    }
  }

  /** Lets go of a queue and of all that sends to it, as soon as AWS can be reached. */
  private discard({ url, poll, subscriptions }: Queue): void {
    const attempt = async () => {
      const each = subscriptions.topics().map((topic) => subscriptions.unsubscribe(topic))
      // All at once: a broker that does not answer may still hear us.
      const outcomes = await Promise.allSettled([...each, this.aws.deleteQueue(url)])
      const failed = outcomes.filter((outcome) => outcome.status === 'rejected')
      // What is refused is left to be swept.
      const open = failed.find(({ reason }) => !isRefusal(reason))
      if (open !== undefined) throw open.reason
    }
    const letGo = async () => {
      await poll?.stop()
      await retryUntil(Infinity, attempt, { signal: this.givingUp.signal })
    }
    void this.closings.add(letGo())
  }
}
