import { randomUUID } from 'node:crypto'
import {
  CreateTopicCommand,
  ListSubscriptionsCommand,
  PublishCommand,
  SNSClient,
} from '@aws-sdk/client-sns'
import { ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs'
import { sqsDriver } from '../../../src/drivers/sqs.js'
import type { SqsDriverOptions } from '../../../src/drivers/sqs.js'
import { tcpLink } from '../../../src/testing/index.js'
import type { DriverHarness, Link } from '../../../src/testing/index.js'
import {
  ACCOUNT,
  CREDENTIALS,
  DENIED,
  REGION,
  RUNNING_SQS,
  startSqs,
  WRONG,
} from '../../brokers/sqs.js'
import type { SqsServer } from '../../brokers/sqs.js'
import { OWNED } from './left-out.js'

export const PREFIX = 'unifrost-'

/** A dead link is noticed within two seconds instead of eight. */
export const QUICK = {
  prefix: PREFIX,
  connectTimeout: 1_500,
  subscribeTimeout: 3_000,
  pollTime: 1_000,
  answerTimeout: 1_000,
} satisfies SqsDriverOptions

/** SNS and SQS carry text that XML can hold, and no empty one: bytes travel in base64. */
export const asText = (payload: Uint8Array) => `base64:${Buffer.from(payload).toString('base64')}`
export const fromText = ({ body }: { body: string }) =>
  Buffer.from(body.slice('base64:'.length), 'base64')

/** What the drivers are made of: a configuration, or clients that somebody brought. */
export type Source = 'configuration' | 'clients'

/** What the tests share: one server, a link to it, and clients past that link. */
export class SqsFixture {
  server: SqsServer | undefined
  #link: Link | undefined
  #sns: SNSClient | undefined
  #sqs: SQSClient | undefined

  async start(): Promise<void> {
    if (!RUNNING_SQS) this.server = await startSqs()
    const running = RUNNING_SQS ? new URL(RUNNING_SQS) : undefined
    const port = this.server?.port ?? Number(running?.port || 80)
    this.#link = await tcpLink(port, running?.hostname)
    const endpoint = RUNNING_SQS ?? this.server?.endpoint
    // A second attempt would publish a second message where an answer is lost.
    const config = { endpoint, region: REGION, credentials: CREDENTIALS, maxAttempts: 1 }
    this.#sns = new SNSClient(config as object)
    this.#sqs = new SQSClient(config as object)
  }

  async stop(): Promise<void> {
    this.#sns?.destroy()
    this.#sqs?.destroy()
    await this.#link?.close()
    await this.server?.stop()
  }

  get link(): Link {
    return there(this.#link)
  }
  get sns(): SNSClient {
    return there(this.#sns)
  }
  get sqs(): SQSClient {
    return there(this.#sqs)
  }

  /** What a driver is made with that takes the way over the link. */
  get config() {
    return {
      region: REGION,
      credentials: CREDENTIALS,
      endpoint: `http://127.0.0.1:${this.link.port}`,
    }
  }

  async topic(label: string, suffix = ''): Promise<string> {
    const name = `contract-${label}-${randomUUID().slice(0, 8)}${suffix}`
    if (!suffix) this.server?.topics.add(name)
    const Attributes = suffix ? { FifoTopic: 'true', ContentBasedDeduplication: 'true' } : undefined
    const command = new CreateTopicCommand({ Name: name, Attributes })
    // One that is not ours is never frozen, and may be slow.
    const abortSignal = AbortSignal.timeout(this.server ? 3_000 : 10_000)
    try {
      await this.sns.send(command, { abortSignal })
    } catch (error) {
      // A server that is frozen or killed makes none, and nobody expects it to work then.
      if (!this.server || (error as Error).name === 'InvalidParameter') throw error
    }
    return arn(name)
  }

  async publish(topic: string, payload: Uint8Array): Promise<void> {
    await this.publishText(topic, asText(payload))
  }

  async publishText(topic: string, text: string, attributes: Record<string, string> = {}) {
    const command = new PublishCommand({
      TopicArn: topic,
      Message: text,
      MessageAttributes: Object.fromEntries(
        Object.entries(attributes).map(([name, StringValue]) => [
          name,
          { DataType: 'String', StringValue },
        ]),
      ),
      ...(topic.endsWith('.fifo') ? { MessageGroupId: 'one' } : {}),
    })
    await this.sns.send(command, { abortSignal: AbortSignal.timeout(5_000) })
  }

  /** The URLs of the queues that drivers have made. */
  async queues(): Promise<string[]> {
    const { QueueUrls } = await this.sqs.send(new ListQueuesCommand({ QueueNamePrefix: PREFIX }))
    return QueueUrls ?? []
  }

  /** The subscriptions of such queues. */
  async subscriptions(): Promise<string[]> {
    const { Subscriptions } = await this.sns.send(new ListSubscriptionsCommand({}))
    const ours = Subscriptions?.filter(({ Endpoint }) => Endpoint?.includes(PREFIX)) ?? []
    return ours.map(({ SubscriptionArn }) => SubscriptionArn as string)
  }

  async leftovers(): Promise<number> {
    return (await this.queues()).length + (await this.subscriptions()).length
  }
}

function there<T>(it: T | undefined): T {
  if (it === undefined) throw new Error('The fixture has not been started.')
  return it
}

const arn = (name: string) => `arn:aws:sns:${REGION}:${ACCOUNT}:${name}`

/** What SNS can't hold, and a topic that is not there. */
export const NAMES = [
  '',
  'orders',
  arn(''),
  arn('a b'),
  arn('a.b'),
  arn('x'.repeat(257)),
  arn('no'),
]

/** The contract's harness for one way of getting clients. */
export function sqsHarness(
  fixture: SqsFixture,
  source: Source,
  limits: SqsDriverOptions = QUICK,
): { harness: DriverHarness; end(): Promise<void> } {
  const made: (SNSClient | SQSClient)[] = []
  const bring = () => {
    const clients = { sqs: new SQSClient(fixture.config), sns: new SNSClient(fixture.config) }
    made.push(clients.sqs, clients.sns)
    return clients
  }
  const options = { ...limits, prefix: PREFIX, payload: fromText }
  const running = 'the server was running already and is not ours to break'
  const harness: DriverHarness = {
    bound: 20_000,
    // SNS takes 256 KiB, of text.
    maxPayload: 190_000,
    create: () => sqsDriver(source === 'clients' ? bring() : fixture.config, options),
    publish: (topic, payload) => fixture.publish(topic, payload),
    topic: (label) => fixture.topic(label),
    // Three are what the library makes of one request.
    connectionsPerTry: 3,
    badTopics: NAMES,
    cut: () => fixture.link.cut(),
    stall: () => fixture.link.stall(),
    leftovers: () => fixture.leftovers(),
    ...(source === 'configuration' ? { refuse: () => fixture.link.refuse() } : {}),
    subscriptions: async () => (await fixture.subscriptions()).length,
    unreachable: (address) =>
      sqsDriver({ ...fixture.config, endpoint: `http://${address}` }, options),
    async brought() {
      const clients = bring()
      return {
        driver: () => sqsDriver(clients, options),
        // Its clients are no emitters.
        listeners: () => 0,
        check: async () => void (await clients.sqs.send(new ListQueuesCommand({}))),
        async end() {
          clients.sqs.destroy()
          clients.sns.destroy()
        },
      }
    },
    without: {
      ...(source === 'clients' ? { refuse: OWNED, ownConnection: OWNED } : {}),
      ...(RUNNING_SQS
        ? { restart: running, freeze: running, deniedTopic: running, badLogin: running }
        : {}),
    },
    ...(RUNNING_SQS
      ? {}
      : {
          restart: async () => fixture.server?.restart(),
          async freeze() {
            await fixture.server?.process.freeze()
            return async () => fixture.server?.process.thaw()
          },
          deniedTopic: arn(DENIED),
          badLogin() {
            const secret = 'wrong-secret'
            const credentials = { ...WRONG, secretAccessKey: secret }
            return {
              driver: sqsDriver({ ...fixture.config, credentials }, options),
              address: `127.0.0.1:${fixture.link.port}`,
              secret,
            }
          },
        }),
  }
  return {
    harness,
    async end() {
      for (const client of made) client.destroy()
    },
  }
}
