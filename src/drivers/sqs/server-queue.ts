import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Message } from '@aws-sdk/client-sqs'
import type { Subscription } from '../../driver.js'
import { Backoff } from '../../driver-kit/backoff.js'
import type { SourceEvents } from '../../driver-kit/sources.js'
import { within } from '../../driver-kit/within.js'
import type { Aws } from './aws.js'
import { explain, isAnswer, isRefusal } from './errors.js'
import { fromTopic, PROBE, Seen } from './message.js'
import type { SqsMessage } from './message.js'
import { Poll } from './poll.js'
import type { PollOptions } from './poll.js'
import { ALIVE, Upkeep } from './upkeep.js'
import type { UpkeepOptions } from './upkeep.js'

/** How long letting go of something may take, and how much longer for each topic. */
const CLOSE_TIMEOUT = 3_500
const CLOSE_EACH = 20
/** How long the answer to a subscribe is waited for before what it may have made is looked for. */
const ANSWER_WAIT = 1_000

export interface ServerQueueOptions extends PollOptions, UpkeepOptions {
  subscribeTimeout: number
  probe: boolean
}

/** A topic that is open, or is being opened. */
class Topic {
  /** Whether `subscribe` has settled: before that, nobody misses anything. */
  ready = false
  /** Whether what it sends to the current queue counts. */
  live = false
  /** Why something was missed, until it is live again. */
  missed: string | undefined
  probe: { id: string; arrived(): void } | undefined
  /** Has the present attempt to attach it to a queue fail. */
  cancel: (error: unknown) => void = () => undefined

  constructor(
    readonly arn: string,
    readonly events: SourceEvents<SqsMessage>,
  ) {}

  /** Rejects when the attempt that begins now is cancelled, whether somebody waits or not. */
  cancellable(): Promise<never> {
    const cancelled = new Promise<never>((_, reject) => (this.cancel = reject))
    cancelled.catch(ignoreEnd)
    return cancelled
  }
}

/** The queue that is read now, or was until it broke. */
interface Queue {
  readonly url: string
  readonly arn: string
  /** By topic. Of one that was asked for without an answer, only the topic is known. */
  readonly subscriptions: Map<string, string | undefined>
  /** By topic: what AWS was asked for and has not answered yet. It settles then, and never rejects. */
  readonly asked: Map<string, Promise<unknown>>
  poll?: Poll
}

/**
 * The queue of this process, to which the topics that it reads all send. When an answer of a
 * poll is lost it is given up for a new one: a poll that nobody waits for any more goes on in
 * AWS, and would take messages out of the old one for some time yet.
 */
export class ServerQueue {
  private readonly topics = new Map<string, Topic>()
  private readonly seen = new Seen()
  private readonly closing = new AbortController()
  private readonly givingUp = new AbortController()
  /** What is being let go of. */
  private readonly ending = new Set<Promise<void>>()
  private current: Promise<Queue> | undefined
  private queue: Queue | undefined
  private upkeep: Upkeep | undefined
  /** A queue that may have been made: its name, with which to try again, and its tags. */
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
          if (late || this.closed || this.queue === queue) throw error
          // The queue has broken. With the one that takes its place it may well work.
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

  async close(): Promise<void> {
    this.closing.abort()
    this.upkeep?.stop()
    const topics = [...this.topics.values()]
    this.topics.clear()
    for (const topic of topics) topic.cancel(closedError())
    const letGo = async () => {
      const queue = await this.current?.catch(() => undefined)
      if (queue) this.discard(queue)
      else if (this.unsure) await this.aws.deleteByName(this.unsure.name)
      await Promise.all(this.ending)
    }
    await within(letGo(), CLOSE_TIMEOUT + CLOSE_EACH * topics.length)
    this.givingUp.abort()
  }

  private get closed(): boolean {
    return this.closing.signal.aborted
  }

  private async make(): Promise<Queue> {
    const name = `${this.options.prefix}${randomUUID()}${this.fifo ? '.fifo' : ''}`
    this.unsure ??= { name, tags: { [ALIVE]: String(Math.floor(Date.now() / 1_000)) } }
    const { url, arn } = await this.aws.createQueue(this.unsure.name, this.unsure.tags)
    this.unsure = undefined
    const queue: Queue = { url, arn, subscriptions: new Map(), asked: new Map() }
    if (this.closed) {
      this.discard(queue)
      throw closedError()
    }
    queue.poll = new Poll(this.aws, url, this.options, {
      message: (message) => this.message(message),
      broken: (error) => this.broke(queue, error),
    })
    this.queue = queue
    this.upkeep ??= new Upkeep(this.aws, this.options, {
      url: () => this.queue?.url,
      subscriptions: () => this.queue?.subscriptions ?? new Map<string, undefined>(),
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
    const { probe, missed } = topic
    topic.probe = topic.missed = undefined
    topic.live = true
    if (missed !== undefined && topic.ready) topic.events.gap(missed)
    probe?.arrived()
  }

  /** Settles when what is published to the topic comes through to `queue`. */
  private async attach(topic: Topic, queue: Queue, cancelled: Promise<never>): Promise<void> {
    if (this.closed) throw closedError()
    if (this.queue !== queue) throw new Error('The queue has been given up.')
    await Promise.race([this.subscribed(topic, queue), cancelled])
    if (this.options.probe) await this.proved(topic, cancelled)
    else this.arrived(topic)
    this.upkeep?.clean(topic.arn)
  }

  private async subscribed({ arn }: Topic, queue: Queue): Promise<void> {
    const { subscriptions, asked } = queue
    if (!subscriptions.has(arn)) subscriptions.set(arn, undefined)
    const asking = this.aws.subscribe(arn, queue.arn)
    // Whoever has given up on it may have asked again before it is answered.
    const answered = Promise.allSettled([asked.get(arn), asking])
    asked.set(arn, answered)
    try {
      subscriptions.set(arn, await asking)
    } catch (error) {
      if (isAnswer(error)) subscriptions.delete(arn)
      throw error
    } finally {
      void answered.then(() => asked.get(arn) === answered && asked.delete(arn))
    }
  }

  private async unsubscribed(topic: string, queue: Queue): Promise<void> {
    const { subscriptions, asked, arn } = queue
    const answered = asked.get(topic)
    if (!answered && !subscriptions.has(topic)) return
    if (answered) await within(answered, ANSWER_WAIT)
    const known = subscriptions.get(topic)
    const subscription = known ?? (await this.aws.subscriptions(topic)).get(arn)
    if (subscription !== undefined) await this.aws.unsubscribe(subscription)
    // It may be made after we have looked, or again: somebody has to come back for it.
    if (asked.has(topic)) throw new Error(`Subscribing ${topic} is still under way.`)
    subscriptions.delete(topic)
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
    if (this.closed || this.queue !== queue) return
    this.discard(queue)
    this.queue = this.current = undefined
    const { message } = explain('Reading the queue', this.aws.where, error)
    for (const topic of this.topics.values()) {
      this.interrupt(topic, message)
      topic.cancel(error)
    }
    if (this.topics.size === 0) return
    const remaking = this.remake()
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

  private interrupt(topic: Topic, reason: string): void {
    topic.live = false
    topic.probe = undefined
    topic.missed ??= reason
  }

  private async remake(): Promise<Queue> {
    const backoff = new Backoff()
    for (;;) {
      try {
        return await this.make()
      } catch (error) {
        if (this.closed || isRefusal(error)) throw error
        await this.pause(backoff.next(), this.closing)
      }
    }
  }

  private async restore(topic: Topic, queue: Queue): Promise<void> {
    const backoff = new Backoff()
    const current = () => this.topics.get(topic.arn) === topic && this.queue === queue
    while (current() && !this.closed) {
      try {
        return await this.attach(topic, queue, topic.cancellable())
      } catch (error) {
        if (current() && isRefusal(error)) return this.fail(topic, error)
        await this.pause(backoff.next(), this.closing)
      }
    }
  }

  /** A subscription that somebody has deleted, perhaps with its topic. */
  private missing(arn: string): void {
    const { queue } = this
    const topic = this.topics.get(arn)
    if (!queue || !topic?.ready || !topic.live) return
    this.interrupt(topic, `The subscription of ${arn} was deleted, and has been made anew.`)
    void this.restore(topic, queue)
  }

  private fail(topic: Topic, error: unknown): void {
    topic.events.fail(explain(`Reading ${topic.arn}`, this.aws.where, error))
  }

  private async release(topic: Topic): Promise<void> {
    if (this.topics.get(topic.arn) === topic) this.topics.delete(topic.arn)
    topic.cancel(closedError())
    // Where this fails, the queue remembers the subscription, and takes it along when it goes.
    if (this.queue && !this.closed) {
      await within(this.unsubscribed(topic.arn, this.queue), CLOSE_TIMEOUT)
    }
  }

  /** Lets go of a queue and of all that sends to it, as soon as AWS can be reached. */
  private discard(queue: Queue): void {
    const letGo = async () => {
      await queue.poll?.stop()
      const backoff = new Backoff()
      while (!this.givingUp.signal.aborted) {
        const topics = new Set([...queue.subscriptions.keys(), ...queue.asked.keys()])
        const each = [...topics].map((topic) => this.unsubscribed(topic, queue))
        // All at once: a broker that does not answer may still hear us.
        const outcomes = await Promise.allSettled([...each, this.aws.deleteQueue(queue.url)])
        const failed = outcomes.filter((outcome) => outcome.status === 'rejected')
        // What is refused is left to be swept.
        if (failed.every(({ reason }) => isRefusal(reason))) return
        await this.pause(backoff.next(), this.givingUp)
      }
    }
    const ending = letGo().finally(() => this.ending.delete(ending))
    this.ending.add(ending)
  }

  private async pause(milliseconds: number, { signal }: AbortController): Promise<void> {
    await pause(milliseconds, undefined, { signal }).catch(ignoreEnd)
  }
}

/** Whoever waits looks at what has become of it. */
function ignoreEnd(): void {}

function closedError(): Error {
  return new Error('The topic or its driver has been closed.')
}
