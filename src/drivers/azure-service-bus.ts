import type { ServiceBusReceivedMessage } from '@azure/service-bus'
import { TopicNameError } from '../errors.js'
import {
  AtOnce,
  checkDriverOptions,
  checks,
  Closings,
  driverShell,
  inTime,
  routingChecks,
  Sources,
} from '../driver-kit/index.js'
import { kindOfTopic } from '../driver-kit/topic-kind.js'
import type { BrokerDriver, OptionCheck, RoutingOptions } from '../driver-kit/index.js'
import { isClients } from './azure-service-bus/clients.js'
import type { ServiceBusClients, ServiceBusConfig } from './azure-service-bus/clients.js'
import { explain } from './azure-service-bus/errors.js'
import { serviceBusLink } from './azure-service-bus/link.js'
import { CLOSE_EACH, CLOSE_TIMEOUT, ServiceBusTopic } from './azure-service-bus/topic.js'

export type { ServiceBusClients, ServiceBusConfig }

/** What `azureServiceBusDriver` takes besides clients. Durations are in milliseconds. */
export interface AzureServiceBusDriverOptions extends RoutingOptions<ServiceBusReceivedMessage> {
  /** How payloads travel: see {@link Driver.encoding}. Default: `utf8`. */
  encoding?: 'utf8' | 'base64'
  /** How long each step of opening a topic may take. Default: 5,000. */
  connectTimeout?: number
  /** How often a connection of ours is probed. Default: 5,000. */
  pingInterval?: number
  /** How long a probe may take before the connection is given up. Default: 5,000. */
  pingTimeout?: number
  /** What the names of the subscriptions begin with. Default: `unifrost-`. */
  prefix?: string
}

/** A driver on Azure Service Bus. */
export type AzureServiceBusDriver = BrokerDriver

/** How many topics a driver opens or closes at once. */
const AT_ONCE = 25

const prefixCheck: OptionCheck = [
  (value) => typeof value === 'string' && /^[A-Za-z0-9][\w.-]{0,13}$/.test(value),
  'up to 14 letters, digits, ., - and _, a letter or digit first',
]

/**
 * Carries the topics of Azure Service Bus, each by way of a subscription for this process.
 *
 * @param target `{ client, admin }`, clients of `@azure/service-bus`, which are used as they are
 *   and never closed; or a connection string; or two, where the HTTP interface is elsewhere.
 */
export function azureServiceBusDriver(
  target: ServiceBusClients | ServiceBusConfig | string,
  options: AzureServiceBusDriverOptions = {},
): AzureServiceBusDriver {
  checkDriverOptions('azureServiceBusDriver', options, {
    ...routingChecks,
    encoding: checks.encoding,
    connectTimeout: checks.duration,
    pingInterval: checks.duration,
    pingTimeout: checks.duration,
    prefix: prefixCheck,
  } satisfies Record<keyof AzureServiceBusDriverOptions, OptionCheck>)
  const { connectTimeout = 5_000, pingInterval = 5_000, pingTimeout = 5_000 } = options
  const { prefix = 'unifrost-' } = options

  const closings = new Closings('Azure Service Bus')
  const topics = new Set<ServiceBusTopic>()
  const link = serviceBusLink(target, { connectTimeout, pingInterval, pingTimeout }, topics)
  link.on({
    lost(reason) {
      for (const topic of [...topics]) topic.stalled(reason)
    },
  })
  const shared = {
    options: { connectTimeout, prefix },
    link,
    topics,
    opening: new AtOnce(AT_ONCE),
    ending: new AtOnce(AT_ONCE),
  }
  const sources = new Sources<ServiceBusReceivedMessage>(
    'azureServiceBusDriver',
    async (name, events) => {
      checkName(name)
      const topic = new ServiceBusTopic(name, events, shared)
      await topic.open()
      return topic
    },
    options,
    bodyOf,
  )

  return driverShell({
    closings,
    encoding: options.encoding,
    kindOf: kindOfTopic({ internal: (name) => name.includes('$') }, options.address),
    brokerState: link.state,
    async connect() {
      const { admin } = await link.get()
      const asking = admin.getNamespaceProperties({ abortSignal: closings.signal })
      try {
        await inTime(asking, connectTimeout)
      } catch (error) {
        throw explain('The namespace', link.where, error)
      }
    },
    subscribe: (topic, sink) => sources.subscribe(topic, sink),
    async close() {
      const open = [...topics]
      const timeout = CLOSE_TIMEOUT + CLOSE_EACH * open.length
      await Promise.all(open.map((topic) => topic.close(timeout, !isClients(target))))
      await sources.close()
      await link.close()
    },
  })
}

const NAME = /^[A-Za-z0-9](?:[\w./-]{0,258}[A-Za-z0-9])?$/

function checkName(name: unknown): void {
  if (typeof name === 'string' && NAME.test(name) && !/\/\/|\/subscriptions\//i.test(name)) return
  throw new TopicNameError(
    `${JSON.stringify(name)?.slice(0, 100)} can't be the name of a topic of Azure Service Bus: it ` +
      'takes up to 260 letters, digits, ., -, _ and single /, with a letter or digit at both ends. ' +
      'Use `address` to make one from another name.',
  )
}

/** Data as it is, and text; what was sent as another AMQP value is sent on as JSON. */
function bodyOf({ body }: ServiceBusReceivedMessage): string | Uint8Array {
  if (body instanceof Uint8Array || typeof body === 'string') return body
  return body === undefined || body === null ? '' : JSON.stringify(body)
}
