import type { LogSink } from '../../log.js'
import type { Payload } from '../../driver.js'
import { checkedPayload } from '../../driver-kit/index.js'
import { headersOf } from '../../brokers/nats/jetstream.js'
import type { ChoosePayload as Choose } from '../../driver-kit/index.js'
import type { NatsHeaders, NatsMessage, StreamInfo } from '../../brokers/nats/jetstream.js'
import type { StreamLog } from './log.js'
import type { Position } from './position.js'
import type { ReaderEvents } from './reader.js'
import { SubjectTree } from './subjects.js'

/** A message of a stream, as `payload` gets it. */
export interface JetStreamMessage {
  readonly subject: string
  /** Its number in the stream. */
  readonly sequence: number
  /** When the server stored it. */
  readonly time: Date
  readonly data: Uint8Array
  /** Not there either where a publisher has written some that the library can't read. */
  readonly headers?: NatsHeaders
}

/** The option `payload`. */
export type ChoosePayload = Choose<JetStreamMessage>

/** A topic that is open. It gets the messages whose sequence is above `after`. */
export interface SpreadTopic {
  readonly name: string
  readonly subject: string
  readonly sink: LogSink
  after: number
}

/** Hands each message of the stream to the topics whose subject it fits. */
export class Spread implements ReaderEvents {
  readonly #topics = new Set<SpreadTopic>()
  readonly #tree = new SubjectTree<SpreadTopic>()

  constructor(
    private readonly log: StreamLog,
    private readonly payload: ChoosePayload | undefined,
    private readonly over: () => void,
  ) {}

  add(topic: SpreadTopic): void {
    this.#topics.add(topic)
    this.#tree.add(topic.subject, topic)
  }

  delete(topic: SpreadTopic): void {
    this.#topics.delete(topic)
    this.#tree.delete(topic.subject, topic)
  }

  message(message: NatsMessage, sequence: number, time: number): void {
    const topics = this.#tree.match(message.subject).filter(({ after }) => sequence > after)
    if (topics.length === 0) return
    if (topics.length > 1) topics.sort((a, b) => (a.name < b.name ? -1 : 1))
    let payloads: Payload[]
    try {
      payloads = topics.map(({ name }) => payloadOf(this.payload, message, name, sequence, time))
    } catch (error) {
      const reason = `payload failed on message ${sequence}: ${String(error)}`
      for (const { sink } of topics) sink.gap(reason, sequence)
      return
    }
    const shared = topics.length > 1
    for (const [i, { sink }] of topics.entries()) sink.message(payloads[i]!, sequence, shared)
  }

  gap(reason: string, through?: number): void {
    for (const { sink, after } of [...this.#topics]) {
      if (through === undefined || after < through) sink.gap(reason, through)
    }
  }

  anew(reason: string, position: Position): void {
    // The numbers of a stream that was made anew are small again.
    for (const topic of this.#topics) topic.after = 0
    if (!this.log.restart(position)) this.gap(reason)
  }

  begun(info: StreamInfo): void {
    this.log.skip(info)
  }

  at(position: Position): void {
    this.log.at(position)
  }

  fail(error: Error): void {
    const topics = [...this.#topics]
    for (const topic of topics) this.delete(topic)
    this.over()
    for (const { sink } of topics) sink.fail(error)
  }
}

/** What of a message is sent. Throws where the user's `payload` fails, or returns something else. */
export function payloadOf(
  choose: ChoosePayload | undefined,
  received: NatsMessage,
  topic: string,
  sequence: number,
  time: number,
): Payload {
  const { subject, data } = received
  if (choose === undefined) return data
  const headers = headersOf(received)
  const message = { subject, sequence, time: new Date(time), data, ...(headers && { headers }) }
  return checkedPayload(choose(message, topic))
}
