import type { Driver, Sink, Subscription } from '../driver.js'
import { OptionsError } from '../errors.js'
import { Aws } from './sqs/aws.js'
import { isClients } from './sqs/clients.js'
import type { AwsClients, AwsConfig } from './sqs/clients.js'
import { explain } from './sqs/errors.js'
import { isQueue } from './sqs/message.js'
import type { SqsMessage } from './sqs/message.js'
import { ServerQueue } from './sqs/server-queue.js'
import { openSharedQueue } from './sqs/shared-queue.js'
import type { OptionCheck } from '../driver-kit/options.js'
import {
  checkDriverOptions,
  duration,
  encoding as encodingCheck,
  flag,
} from '../driver-kit/options.js'
import { routingChecks, Sources } from '../driver-kit/sources.js'
import type { RoutingOptions } from '../driver-kit/sources.js'

export type { AwsClients, AwsConfig, SqsMessage }

/** What `sqsDriver` takes besides clients. Durations are in milliseconds. */
export interface SqsDriverOptions extends RoutingOptions<SqsMessage> {
  /** How payloads travel: see {@link Driver.encoding}. Default: `utf8`. */
  encoding?: 'utf8' | 'base64'
  /** How long one call to AWS may take, polls excepted. Default: 5,000. */
  connectTimeout?: number
  /** How long opening a topic may take in all. Default: 10,000. */
  subscribeTimeout?: number
  /** How long one poll waits for messages: whole seconds up to 20. Default: 5,000. */
  pollTime?: number
  /** How much later a poll's answer may come before the link counts as lost. Default: 2,500. */
  answerTimeout?: number
  /**
   * Whether a topic counts as open only when a message of our own has come through it. Other
   * subscribers of the topic get that too, with the attribute `unifrost-probe`. Default: true.
   */
  probe?: boolean
  /** What the names of the queues begin with that the driver makes. Default: `unifrost-`. */
  prefix?: string
  /** How often a queue is tagged as alive and subscriptions are looked at. Default: 60,000. */
  heartbeat?: number
  /** How long a queue has not been tagged that is deleted as left behind. Default: 900,000. */
  sweepAfter?: number
}

/** A driver on SNS and SQS. */
export interface SqsDriver extends Driver {
  /**
   * Makes this process's queue now instead of with the first topic, to find out early that it
   * can't. It rejects with one error that says what to do, and may be called again.
   */
  connect(): Promise<void>
}

const prefixCheck: OptionCheck = [
  (value) => typeof value === 'string' && /^[\w-]{1,38}$/.test(value),
  'up to 38 letters, digits, - and _',
]
const pollCheck: OptionCheck = [
  (value) => typeof value === 'number' && value >= 1_000 && value <= 20_000,
  'milliseconds, 1,000 to 20,000',
]

/**
 * Carries the topics of SNS, by way of a queue of SQS for this process; or a queue of yours.
 *
 * @param target `{ sqs, sns }`, clients of the AWS SDK, which are used as they are and never
 *   destroyed; or a region; or what clients are made with.
 */
export function sqsDriver(
  target: AwsClients | AwsConfig | string,
  options: SqsDriverOptions = {},
): SqsDriver {
  checkDriverOptions('sqsDriver', options, {
    ...routingChecks,
    encoding: encodingCheck,
    connectTimeout: duration,
    subscribeTimeout: duration,
    pollTime: pollCheck,
    answerTimeout: duration,
    probe: flag,
    prefix: prefixCheck,
    heartbeat: duration,
    sweepAfter: duration,
  } satisfies Record<keyof SqsDriverOptions, OptionCheck>)
  const config = typeof target === 'string' ? { region: target } : target
  if (config === null || typeof config !== 'object' || (!isClients(config) && 'sqs' in config)) {
    throw new OptionsError(
      'sqsDriver takes { sqs, sns }, clients of the AWS SDK; or a region; or { region, … }, ' +
        'with which clients are made.',
    )
  }
  const settings = {
    subscribeTimeout: 10_000,
    pollTime: 5_000,
    answerTimeout: 2_500,
    probe: true,
    prefix: 'unifrost-',
    heartbeat: 60_000,
    sweepAfter: 900_000,
    ...defined(options),
  }

  let opening: Promise<Aws> | undefined
  let standard: ServerQueue | undefined
  let fifo: ServerQueue | undefined
  let closed: Promise<void> | undefined

  function opened(): Promise<Aws> {
    if (!opening) {
      const made = Aws.open(config, options.connectTimeout ?? 5_000)
      opening = made
      made.catch(() => {
        if (opening === made) opening = undefined
      })
    }
    return opening
  }

  async function queueFor(name: string): Promise<ServerQueue> {
    const aws = await opened()
    if (closed) throw closedError()
    return name.endsWith('.fifo')
      ? (fifo ??= new ServerQueue(aws, true, settings))
      : (standard ??= new ServerQueue(aws, false, settings))
  }

  const sources = new Sources<SqsMessage>(
    'sqsDriver',
    async (name, events) => {
      if (!isQueue(name)) return (await queueFor(name)).open(name, events)
      const aws = await opened()
      if (closed) throw closedError()
      return openSharedQueue(aws, name, settings, events)
    },
    options,
    ({ body }) => body,
  )

  return {
    encoding: options.encoding ?? 'utf8',

    async connect() {
      if (closed) throw closedError()
      const queue = await queueFor('')
      try {
        await queue.made()
      } catch (error) {
        throw explain('Making a queue', (await opened()).where, error)
      }
    },

    async subscribe(topic: string, sink: Sink): Promise<Subscription> {
      if (closed) throw closedError()
      return sources.subscribe(topic, sink)
    },

    close() {
      closed ??= shut()
      return closed
    },
  }

  async function shut(): Promise<void> {
    await Promise.all([standard?.close(), fifo?.close()])
    await sources.close()
    const aws = await opening?.catch(() => undefined)
    aws?.end()
  }
}

function defined<T extends object>(options: T): T {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given) as T
}

function closedError(): Error {
  return new Error('This SQS driver has been closed. Make a new one.')
}
