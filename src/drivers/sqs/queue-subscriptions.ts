import { within } from '../../driver-kit/index.js'
import type { Aws } from './aws.js'
import { isAnswer } from './errors.js'

/** How long the answer to a subscribe is waited for before what it may have made is looked for. */
const ANSWER_WAIT = 1_000

/** The topics that send to one queue. */
export class QueueSubscriptions {
  /** By topic. Of a topic that was asked for without an answer, the subscription is not known. */
  private readonly subscriptions = new Map<string, string | undefined>()
  /** By topic, what AWS was asked for and has not answered yet. It settles then, and never rejects. */
  private readonly asked = new Map<string, Promise<unknown>>()

  /** @param arn The queue. */
  constructor(
    private readonly aws: Aws,
    private readonly arn: string,
  ) {}

  /** The subscriptions by topic, undefined while AWS has not answered. */
  get known(): ReadonlyMap<string, string | undefined> {
    return this.subscriptions
  }

  /** The topics that send to the queue, or may. */
  topics(): string[] {
    return [...new Set([...this.subscriptions.keys(), ...this.asked.keys()])]
  }

  async subscribe(topic: string): Promise<void> {
    const { subscriptions, asked } = this
    if (!subscriptions.has(topic)) subscriptions.set(topic, undefined)
    const asking = this.aws.subscribe(topic, this.arn)
    // A call that was given up may be asked again before it is answered.
    const answered = Promise.allSettled([asked.get(topic), asking])
    asked.set(topic, answered)
    try {
      subscriptions.set(topic, await asking)
    } catch (error) {
      if (isAnswer(error)) subscriptions.delete(topic)
      throw error
    } finally {
      void answered.then(() => asked.get(topic) === answered && asked.delete(topic))
    }
  }

  async unsubscribe(topic: string): Promise<void> {
    const { subscriptions, asked } = this
    const answered = asked.get(topic)
    if (!answered && !subscriptions.has(topic)) return
    if (answered) await within(answered, ANSWER_WAIT)
    const known = subscriptions.get(topic)
    const subscription = known ?? (await this.aws.subscriptions(topic)).get(this.arn)
    if (subscription !== undefined) await this.aws.unsubscribe(subscription)
    // AWS may still make it after we have looked, or make another one: this is called again then.
    if (asked.has(topic)) throw new Error(`Subscribing ${topic} is still under way.`)
    subscriptions.delete(topic)
  }
}
