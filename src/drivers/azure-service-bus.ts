import { kindOfTopic } from '../driver-kit/topic-kind.js'
import { setTimeout as pause } from 'node:timers/promises'
import type { ServiceBusReceivedMessage } from '@azure/service-bus'
import type { Driver, Sink, Subscription } from '../driver.js'
import { TopicNameError } from '../errors.js'
import {
  broughtClients,
  explain,
  isClients,
  makeClients,
  toConfig,
} from './azure-service-bus/clients.js'
import type { Clients, ServiceBusClients, ServiceBusConfig } from './azure-service-bus/clients.js'
import { CLOSE_EACH, CLOSE_TIMEOUT, ServiceBusTopic } from './azure-service-bus/topic.js'
import type { Shared } from './azure-service-bus/topic.js'
import { AtOnce } from '../driver-kit/at-once.js'
import type { OptionCheck } from '../driver-kit/options.js'
import { checkDriverOptions, duration, encoding as encodingCheck } from '../driver-kit/options.js'
import { routingChecks, Sources } from '../driver-kit/sources.js'
import type { RoutingOptions } from '../driver-kit/sources.js'
import { patiently } from '../driver-kit/patiently.js'
import { within } from '../driver-kit/within.js'

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
export interface AzureServiceBusDriver extends Driver {
  /**
   * Asks for the namespace now, to find out early that it can't be reached or the key is wrong.
   * It rejects with one error that says what to do, and may be called again.
   */
  connect(): Promise<void>
}

/** How many topics a driver opens or closes at once. */
const AT_ONCE = 25
/** How much longer than it may take a probe has taken where this process was busy meanwhile. */
const BUSY = 1.5

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
    encoding: encodingCheck,
    connectTimeout: duration,
    pingInterval: duration,
    pingTimeout: duration,
    prefix: prefixCheck,
  } satisfies Record<keyof AzureServiceBusDriverOptions, OptionCheck>)
  const { connectTimeout = 5_000, pingInterval = 5_000, pingTimeout = 5_000 } = options
  const { prefix = 'unifrost-' } = options
  const config = isClients(target) ? undefined : toConfig(target)

  const closing = new AbortController()
  const ending = new Set<Promise<void>>()
  let current: Promise<Clients> | undefined
  let closed: Promise<void> | undefined

  const shared: Shared = {
    options: { connectTimeout, prefix },
    clients,
    topics: new Set(),
    opening: new AtOnce(AT_ONCE),
    ending: new AtOnce(AT_ONCE),
  }

  function clients(): Promise<Clients> {
    if (!current) {
      const making = config
        ? makeClients(config, connectTimeout)
        : Promise.resolve(broughtClients(target as ServiceBusClients))
      current = making
      making.then(
        (made) => (made.own ? watch(made, making) : undefined),
        () => (current === making ? (current = undefined) : undefined),
      )
    }
    return current
  }

  /** The library notices a connection that has gone silent after a minute or two. */
  async function watch(made: Clients, making: Promise<Clients>): Promise<void> {
    const { signal } = closing
    while (!signal.aborted && current === making) {
      await pause(pingInterval, undefined, { signal }).catch(ignoreClose)
      const receiver = [...shared.topics].map((topic) => topic.receiver).find(Boolean)
      if (signal.aborted || !receiver) continue
      const abort = new AbortController()
      // Whatever is answered, somebody has answered. The library gives an answer a time of its own.
      const abortSignal = AbortSignal.any([abort.signal, signal])
      const asked = performance.now()
      const peeking = receiver.peekMessages(1, { abortSignal }).catch((error: unknown) => {
        if (isTimeout(error)) return new Promise<never>(() => undefined)
      })
      if ((await patiently(peeking, pingTimeout)) !== 'late') continue
      abort.abort()
      if (signal.aborted || current !== making) return
      // The library's time may have passed while this process was too busy to listen: once more.
      if (performance.now() - asked > BUSY * pingTimeout) continue
      current = undefined
      const reason = new Error(`${made.where} has not answered for ${pingTimeout} ms`)
      for (const topic of [...shared.topics]) topic.stalled(reason)
      const end = made.end(CLOSE_TIMEOUT).finally(() => ending.delete(end))
      ending.add(end)
      return
    }
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

  return {
    encoding: options.encoding ?? 'utf8',
    kindOf: kindOfTopic({ internal: (name) => name.includes('$') }),

    async connect() {
      if (closed) throw closedError()
      const { admin, where } = await clients()
      const asking = admin.getNamespaceProperties({ abortSignal: closing.signal })
      const outcome = await within(asking, connectTimeout)
      if (outcome === 'failed') {
        return asking.then(ignoreAnswer, (error: unknown) => {
          throw explain('The namespace', where, error)
        })
      }
      if (outcome === 'late')
        throw explain('The namespace', where, new Error(`no answer within ${connectTimeout} ms`))
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
    closing.abort()
    const topics = [...shared.topics]
    const timeout = CLOSE_TIMEOUT + CLOSE_EACH * topics.length
    await Promise.all(topics.map((topic) => topic.close(timeout, config !== undefined)))
    await sources.close()
    const made = await current?.catch(() => undefined)
    await made?.end(CLOSE_TIMEOUT)
    await Promise.all(ending)
  }
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

function isTimeout(error: unknown): boolean {
  const { name = '', code = '' } = error as { name?: string; code?: string }
  return /timeout/i.test(`${name} ${code}`)
}

/** Data as it is, and text; what was sent as another AMQP value is sent on as JSON. */
function bodyOf({ body }: ServiceBusReceivedMessage): string | Uint8Array {
  if (body instanceof Uint8Array || typeof body === 'string') return body
  return body === undefined || body === null ? '' : JSON.stringify(body)
}

/** That there is an answer is all. */
function ignoreAnswer(): void {}

/** Whoever pauses looks at the signal. */
function ignoreClose(): void {}

function closedError(): Error {
  return new Error('This Azure Service Bus driver has been closed. Make a new one.')
}
