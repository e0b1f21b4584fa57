import { Link } from '../../driver-kit/index.js'
import {
  addressIn,
  broughtClients,
  isClients,
  loadLibrary,
  makeClients,
  toConfig,
} from './clients.js'
import type { Clients, ServiceBusClients, ServiceBusConfig } from './clients.js'
import { CLOSE_TIMEOUT } from './topic.js'
import type { ServiceBusTopic } from './topic.js'

export interface ServiceBusLinkSettings {
  /** Milliseconds, as the other two. */
  readonly connectTimeout: number
  readonly pingInterval: number
  readonly pingTimeout: number
}

/** A probe that took this many times its limit was slowed down by this process, which was busy. */
const BUSY = 1.5

/**
 * The link to Service Bus: clients of the user's, or of our own. Clients of our own are probed, since
 * the library notices a dead connection only after a minute or two.
 *
 * @param topics What is read. One of them is asked for a probe.
 */
export function serviceBusLink(
  target: ServiceBusClients | ServiceBusConfig | string,
  { connectTimeout, pingInterval, pingTimeout }: ServiceBusLinkSettings,
  topics: ReadonlySet<ServiceBusTopic>,
): Link<Clients> {
  const shared = {
    broker: 'Azure Service Bus',
    asks: false,
    explain: (cause: unknown) => cause as Error,
  }
  if (isClients(target)) {
    return new Link({
      ...shared,
      where: target.client.fullyQualifiedNamespace,
      connect: async () => broughtClients(target),
      end: (clients) => clients.end(CLOSE_TIMEOUT),
    })
  }
  const config = toConfig(target)
  return new Link({
    ...shared,
    where: addressIn(config.connectionString),
    prepare: loadLibrary,
    connect: () => makeClients(config, connectTimeout),
    // Beside the clients' own time, some for what follows it.
    closeTimeout: CLOSE_TIMEOUT + 100,
    end: (clients) => clients.end(CLOSE_TIMEOUT),
    probe: {
      interval: pingInterval,
      timeout: pingTimeout,
      ask: (clients) => answered(clients, topics, pingTimeout),
    },
  })
}

/** Settles when Service Bus has answered anything at all, a refusal included. */
async function answered(
  { ended }: Clients,
  topics: ReadonlySet<ServiceBusTopic>,
  timeout: number,
): Promise<void> {
  const receiver = [...topics].map((topic) => topic.receiver).find(Boolean)
  if (receiver === undefined) return
  const asked = performance.now()
  try {
    await receiver.peekMessages(1, { abortSignal: ended })
  } catch (error) {
    if (!isTimeout(error)) return
    // The library's time may have passed while this process was too busy to listen: once more.
    if (performance.now() - asked > BUSY * timeout) return
    await new Promise<never>(() => undefined)
  }
}

function isTimeout(error: unknown): boolean {
  const { name = '', code = '' } = error as { name?: string; code?: string }
  return /timeout/i.test(`${name} ${code}`)
}
