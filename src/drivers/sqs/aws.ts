import { setMaxListeners } from 'node:events'
import type { SNSClient } from '@aws-sdk/client-sns'
import type { Message, SQSClient } from '@aws-sdk/client-sqs'
import { AtOnce, inTime } from '../../driver-kit/index.js'
import { addressOf, isClients, loadLibraries, makeClients, SNS_CALLS_AT_ONCE } from './clients.js'
import type { AwsClients, AwsConfig, Libraries } from './clients.js'
import { isAnswer, isGone } from './errors.js'

/** What the driver asks of AWS, each call with a bound. */
export class Aws {
  private readonly snsCalls = new AtOnce(SNS_CALLS_AT_ONCE)
  private readonly ended = new AbortController()

  private constructor(
    private readonly library: Libraries,
    private readonly sqs: SQSClient,
    private readonly sns: SNSClient | undefined,
    private readonly own: boolean,
    /** How long a call may take, in milliseconds. */
    private readonly timeout: number,
    readonly where: string,
    /** Is called after each call: with what went wrong, where no answer has come. */
    private readonly heard: (trouble?: unknown) => void,
  ) {
    // Every call under way listens to it.
    setMaxListeners(0, this.ended.signal)
  }

  static async open(
    target: AwsClients | AwsConfig,
    timeout: number,
    heard: (trouble?: unknown) => void,
  ): Promise<Aws> {
    const library = await loadLibraries()
    const { sqs, sns } = isClients(target) ? target : makeClients(library, target)
    const where = await addressOf(sqs)
    return new Aws(library, sqs, sns, !isClients(target), timeout, where, heard)
  }

  /** How long a call may take that lets go of something: there has to be time for a second one. */
  private get goodbye(): number {
    return Math.min(this.timeout, 1_500)
  }

  /** Ends every call that is under way, and the clients, if they are ours. */
  end(): void {
    this.ended.abort(new Error('stopped'))
    if (!this.own) return
    this.sqs.destroy()
    this.sns?.destroy()
  }

  /** One long poll. It is sent once: a retry within the SDK would hide that an answer is lost. */
  async receive(url: string, seconds: number, grace: number, stop: AbortSignal) {
    const command = new this.library.sqs.ReceiveMessageCommand({
      QueueUrl: url,
      MaxNumberOfMessages: 10,
      WaitTimeSeconds: seconds,
      MessageSystemAttributeNames: ['MessageGroupId'],
      MessageAttributeNames: ['All'],
    })
    command.middlewareStack.add(
      (next) => async (args) => {
        try {
          return await next(args)
        } catch (error) {
          throw new SentOnce(error)
        }
      },
      { step: 'finalizeRequest', priority: 'low', name: 'unifrostOnce' },
    )
    const sending = (abortSignal: AbortSignal) => this.sqs.send(command, { abortSignal })
    try {
      const { Messages = [] } = await this.bounded(sending, seconds * 1_000 + grace, stop)
      return Messages
    } catch (error) {
      throw error instanceof SentOnce ? error.inner : error
    }
  }

  async delete(url: string, messages: readonly Message[]): Promise<void> {
    const Entries = messages.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle }))
    const command = new this.library.sqs.DeleteMessageBatchCommand({ QueueUrl: url, Entries })
    await this.bounded((abortSignal) => this.sqs.send(command, { abortSignal }))
  }

  /**
   * Makes a queue that the account's topics may send to. After a failure it may be there or not;
   * with the same name and tags it can be tried again.
   */
  async createQueue(name: string, tags: Record<string, string>) {
    const Attributes: Record<string, string> = { MessageRetentionPeriod: '3600' }
    if (name.endsWith('.fifo')) Attributes['FifoQueue'] = 'true'
    const creating = new this.library.sqs.CreateQueueCommand({ QueueName: name, Attributes, tags })
    const made = await this.bounded((abortSignal) => this.sqs.send(creating, { abortSignal }))
    const url = made.QueueUrl as string
    const arn = await this.queueArn(url)
    await this.setPolicy(url, arn)
    return { url, arn }
  }

  async queueArn(url: string): Promise<string> {
    const command = new this.library.sqs.GetQueueAttributesCommand({
      QueueUrl: url,
      AttributeNames: ['QueueArn'],
    })
    const { Attributes } = await this.bounded((abortSignal) =>
      this.sqs.send(command, { abortSignal }),
    )
    return Attributes?.['QueueArn'] as string
  }

  /** One statement for all topics: a policy has a limited size. */
  private async setPolicy(url: string, arn: string): Promise<void> {
    const [, partition, , , account] = arn.split(':')
    const Policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: { Service: 'sns.amazonaws.com' },
          Action: 'sqs:SendMessage',
          Resource: arn,
          Condition: { ArnLike: { 'aws:SourceArn': `arn:${partition}:sns:*:${account}:*` } },
        },
      ],
    })
    const command = new this.library.sqs.SetQueueAttributesCommand({
      QueueUrl: url,
      Attributes: { Policy },
    })
    await this.bounded((abortSignal) => this.sqs.send(command, { abortSignal }))
  }

  /** Deletes a queue that may or may not have been made. */
  async deleteByName(name: string): Promise<void> {
    const command = new this.library.sqs.GetQueueUrlCommand({ QueueName: name })
    try {
      const found = await this.bounded((abortSignal) => this.sqs.send(command, { abortSignal }))
      await this.deleteQueue(found.QueueUrl as string)
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }

  async deleteQueue(url: string): Promise<void> {
    const command = new this.library.sqs.DeleteQueueCommand({ QueueUrl: url })
    try {
      await this.bounded((abortSignal) => this.sqs.send(command, { abortSignal }), this.goodbye)
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }

  async tag(url: string, Tags: Record<string, string>): Promise<void> {
    const command = new this.library.sqs.TagQueueCommand({ QueueUrl: url, Tags })
    await this.bounded((abortSignal) => this.sqs.send(command, { abortSignal }))
  }

  async tags(url: string): Promise<Record<string, string>> {
    const command = new this.library.sqs.ListQueueTagsCommand({ QueueUrl: url })
    const { Tags } = await this.bounded((abortSignal) => this.sqs.send(command, { abortSignal }))
    return Tags ?? {}
  }

  async queues(prefix: string): Promise<string[]> {
    const urls: string[] = []
    let NextToken: string | undefined
    do {
      const command = new this.library.sqs.ListQueuesCommand({
        QueueNamePrefix: prefix,
        MaxResults: 1_000,
        NextToken,
      })
      const page = await this.bounded((abortSignal) => this.sqs.send(command, { abortSignal }))
      urls.push(...(page.QueueUrls ?? []))
      NextToken = page.NextToken
    } while (NextToken)
    return urls
  }

  /** Has a topic send to a queue, each message in SNS's envelope. Gives the subscription. */
  async subscribe(topic: string, queue: string): Promise<string> {
    const command = new this.library.sns.SubscribeCommand({
      TopicArn: topic,
      Protocol: 'sqs',
      Endpoint: queue,
      ReturnSubscriptionArn: true,
    })
    const made = await this.onSns((sns, abortSignal) => sns.send(command, { abortSignal }))
    return made.SubscriptionArn as string
  }

  async unsubscribe(subscription: string): Promise<void> {
    const command = new this.library.sns.UnsubscribeCommand({ SubscriptionArn: subscription })
    try {
      await this.onSns((sns, abortSignal) => sns.send(command, { abortSignal }), this.goodbye)
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }

  async subscriptionExists(subscription: string): Promise<boolean> {
    const command = new this.library.sns.GetSubscriptionAttributesCommand({
      SubscriptionArn: subscription,
    })
    try {
      await this.onSns((sns, abortSignal) => sns.send(command, { abortSignal }))
      return true
    } catch (error) {
      if (isGone(error)) return false
      throw error
    }
  }

  /** The subscriptions of a topic, by the queue that each sends to. */
  async subscriptions(topic: string): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    let NextToken: string | undefined
    do {
      const command = new this.library.sns.ListSubscriptionsByTopicCommand({
        TopicArn: topic,
        NextToken,
      })
      let page
      try {
        page = await this.onSns((sns, abortSignal) => sns.send(command, { abortSignal }))
      } catch (error) {
        if (isGone(error)) return found
        throw error
      }
      for (const { Endpoint, SubscriptionArn } of page.Subscriptions ?? []) {
        if (Endpoint && SubscriptionArn) found.set(Endpoint, SubscriptionArn)
      }
      NextToken = page.NextToken
    } while (NextToken)
    return found
  }

  async publishProbe(topic: string, attribute: string, id: string): Promise<void> {
    const command = new this.library.sns.PublishCommand({
      TopicArn: topic,
      Message: 'A probe of unifrost: not a message.',
      MessageAttributes: { [attribute]: { DataType: 'String', StringValue: id } },
      ...(topic.endsWith('.fifo')
        ? { MessageGroupId: attribute, MessageDeduplicationId: `${id}-${Date.now()}` }
        : {}),
    })
    await this.onSns((sns, abortSignal) => sns.send(command, { abortSignal }))
  }

  private async onSns<T>(
    call: (sns: SNSClient, signal: AbortSignal) => Promise<T>,
    timeout?: number,
  ): Promise<T> {
    const { sns } = this
    if (!sns) throw new Error('sqsDriver was given no SNS client, which topics need: { sqs, sns }.')
    return this.snsCalls.run(() => this.bounded((signal) => call(sns, signal), timeout))
  }

  /** Makes a call that ends after `timeout`, whatever the SDK is doing then. */
  private async bounded<T>(
    call: (signal: AbortSignal) => Promise<T>,
    timeout = this.timeout,
    stop: AbortSignal = this.ended.signal,
  ): Promise<T> {
    stop.throwIfAborted()
    const abort = new AbortController()
    const late = () => new Error(`no answer from ${this.where} within ${timeout} ms`)
    try {
      const answer = await inTime(call(abort.signal), timeout, late, stop)
      this.heard()
      return answer
    } catch (error) {
      abort.abort()
      const inner = error instanceof SentOnce ? error.inner : error
      if (isAnswer(inner)) this.heard()
      else if (!stop.aborted) this.heard(inner)
      throw error
    }
  }
}

/** Wraps the error of a poll, so that the SDK does not know it as one to try again after. */
class SentOnce extends Error {
  constructor(readonly inner: unknown) {
    super('A poll failed.')
  }
}
