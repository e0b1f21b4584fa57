import { OptionsError } from '../errors.js'
import {
  checkDriverOptions,
  checks,
  Closings,
  driverShell,
  Link,
  routingChecks,
  shownAddress,
  Sources,
} from '../driver-kit/index.js'
import type { BrokerDriver, OptionCheck, RoutingOptions } from '../driver-kit/index.js'
import { Aws } from './sqs/aws.js'
import { isClients, loadLibraries } from './sqs/clients.js'
import type { AwsClients, AwsConfig } from './sqs/clients.js'
import { explain } from './sqs/errors.js'
import { isQueue } from './sqs/message.js'
import type { SqsMessage } from './sqs/message.js'
import { ServerQueue } from './sqs/server-queue.js'
import { SharedQueue } from './sqs/shared-queue.js'

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

/** A driver on SNS and SQS. Its `connect` makes this process's queue. */
export type SqsDriver = BrokerDriver

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
    encoding: checks.encoding,
    connectTimeout: checks.duration,
    subscribeTimeout: checks.duration,
    pollTime: pollCheck,
    answerTimeout: checks.duration,
    probe: checks.flag,
    prefix: prefixCheck,
    heartbeat: checks.duration,
    sweepAfter: checks.duration,
  } satisfies Record<keyof SqsDriverOptions, OptionCheck>)
  const config = checkTarget(target)
  const settings = {
    connectTimeout: 5_000,
    subscribeTimeout: 10_000,
    pollTime: 5_000,
    answerTimeout: 2_500,
    probe: true,
    prefix: 'unifrost-',
    heartbeat: 60_000,
    sweepAfter: 900_000,
    ...defined(options),
  }

  const closings = new Closings('SQS')
  const heard = (trouble?: unknown) => {
    if (trouble === undefined) link.heard()
    else link.silent(trouble)
  }
  const link: Link<Aws> = new Link<Aws>({
    broker: 'SQS',
    where: 'AWS',
    // Each call has a bound of its own.
    connectTimeout: Infinity,
    prepare: loadLibraries,
    connect: () => Aws.open(config, settings.connectTimeout, heard),
    asks: false,
    end: (aws) => aws.end(),
    explain: (cause) => cause as Error,
  })
  const queues = new Map<'fifo' | 'standard', ServerQueue>()

  /** The queue of this process that topics like this one send to. */
  function queueFor(aws: Aws, name: string): ServerQueue {
    const kind = name.endsWith('.fifo') ? 'fifo' : 'standard'
    const found = queues.get(kind) ?? new ServerQueue(aws, kind === 'fifo', settings)
    queues.set(kind, found)
    return found
  }

  const sources = new Sources<SqsMessage>(
    'sqsDriver',
    async (name, events) => {
      const isShared = isQueue(name)
      const aws = await link.get()
      closings.check()
      if (isShared) return SharedQueue.open(aws, name, settings, events)
      return queueFor(aws, name).open(name, events)
    },
    options,
    ({ body }) => body,
  )

  return driverShell({
    closings,
    encoding: options.encoding,
    brokerState: link.state,
    async connect() {
      const aws = await link.get()
      closings.check()
      try {
        await queueFor(aws, '').made()
      } catch (error) {
        throw explain('Making a queue', aws.where, error)
      }
    },
    subscribe: (topic, sink) => sources.subscribe(topic, sink),
    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close()))
      await sources.close()
      await link.close()
    },
  })
}

function checkTarget(target: AwsClients | AwsConfig | string): AwsClients | AwsConfig {
  const config = typeof target === 'string' ? { region: target } : target
  if (typeof target === 'string' && !/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/i.test(target)) {
    throw new OptionsError(
      `sqsDriver got ${shownAddress(target)} as a region. It takes one such as eu-west-1; for ` +
        'another address, give { region, endpoint }.',
    )
  }
  const isObject = typeof config === 'object' && config !== null
  if (isObject && (isClients(config) || !('sqs' in config))) return config
  throw new OptionsError(
    'sqsDriver takes { sqs, sns }, clients of the AWS SDK; or a region; or { region, … }, ' +
      'with which clients are made.',
  )
}

function defined<T extends object>(options: T): T {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given) as T
}
