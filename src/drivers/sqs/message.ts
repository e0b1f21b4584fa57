import type { Message } from '@aws-sdk/client-sqs'
import { TopicNameError } from '../../errors.js'

/** A message, as `route` and `payload` get it. */
export interface SqsMessage {
  /** What was published, as text, which is all that SNS and SQS carry. */
  readonly body: string
  /** The topic's ARN, or the queue's URL. */
  readonly source: string
  /** SNS's id of the message, or that of SQS for a message that was sent to a queue. */
  readonly id: string
  /** The message attributes' values. Those of the type Binary are in base64. */
  readonly attributes: Readonly<Record<string, string>>
  /** The subject it was published with, if any. */
  readonly subject?: string
  /** The message group, of a FIFO topic or queue. */
  readonly group?: string
}

/** The attribute by which a probe is known. What carries it is not handed over. */
export const PROBE = 'unifrost-probe'

/** How many ids of messages are remembered at least, against what is delivered again. */
export const SEEN = 10_000

/** The message of a topic that has arrived in our queue. Undefined for what no topic has sent. */
export function fromTopic({ Body = '', Attributes }: Message): SqsMessage | undefined {
  let envelope: Partial<Envelope> | null
  try {
    envelope = JSON.parse(Body) as Partial<Envelope> | null
  } catch {
    return undefined
  }
  const { Type, TopicArn, MessageId, Message, Subject, MessageAttributes } = envelope ?? {}
  if (Type !== 'Notification' || !TopicArn || !MessageId || Message === undefined) return undefined
  return {
    body: Message,
    source: TopicArn,
    id: MessageId,
    attributes: Object.fromEntries(
      Object.entries(MessageAttributes ?? {}).map(([name, it]) => [name, it?.Value ?? '']),
    ),
    ...(Subject ? { subject: Subject } : {}),
    ...groupOf(Attributes),
  }
}

interface Envelope {
  Type: string
  TopicArn: string
  MessageId: string
  Message: string
  Subject: string | null
  MessageAttributes: Record<string, { Value?: string } | null> | null
}

/** A message that was sent to a queue of the user's. */
export function fromQueue(url: string, message: Message): SqsMessage {
  const { Body = '', MessageId = '', MessageAttributes = {}, Attributes } = message
  const attributes: [string, string][] = Object.entries(MessageAttributes).map(
    ([name, { StringValue, BinaryValue }]) => [
      name,
      StringValue ?? Buffer.from(BinaryValue ?? []).toString('base64'),
    ],
  )
  return {
    body: Body,
    source: url,
    id: MessageId,
    attributes: Object.fromEntries(attributes),
    ...groupOf(Attributes),
  }
}

function groupOf(attributes: Message['Attributes']): { group?: string } {
  const group = attributes?.MessageGroupId
  return group === undefined ? {} : { group }
}

const TOPIC = /^arn:aws[\w-]*:sns:[\w-]+:\d{12}:(?=.{1,256}$)[\w-]+(\.fifo)?$/
const QUEUE = /^https?:\/\/[^\s/]+\/(?:\d{12}\/)?[\w-]{1,80}(\.fifo)?$/

/**
 * Whether a name is that of a queue; otherwise it is that of a topic.
 *
 * @throws TopicNameError for what is neither.
 */
export function isQueue(name: unknown): boolean {
  if (typeof name === 'string' && QUEUE.test(name)) return true
  if (typeof name === 'string' && TOPIC.test(name)) return false
  throw new TopicNameError(
    `${JSON.stringify(name)?.slice(0, 100)} can't be read from SNS or SQS: it takes a topic's ARN, ` +
      'arn:aws:sns:region:account:name, or the URL of a queue. Names have letters, digits, - and ' +
      '_, a topic at most 256, a queue at most 80. Use `address` to make one from a shorter name.',
  )
}
