import { Agent as HttpAgent } from 'node:http'
import type { Agent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { ServiceBusAdministrationClient, ServiceBusClient } from '@azure/service-bus'
import { OptionsError } from '../../errors.js'
import { loadPeer } from '../../driver-kit/peer.js'
import { within } from '../../driver-kit/within.js'
import { forgetTokens, socketOf } from './inside.js'

/** Clients of the user's, which are used as they are and never closed. */
export interface ServiceBusClients {
  client: ServiceBusClient
  /** Makes and deletes the subscriptions. */
  admin: ServiceBusAdministrationClient
}

/** What the driver's own clients are made with. */
export interface ServiceBusConfig {
  connectionString: string
  /** For the emulator, whose HTTP interface has a port of its own. */
  adminConnectionString?: string
}

/** A pair of clients, for as long as their connection is alive. */
export interface Clients extends ServiceBusClients {
  /** `host:port`, or the namespace. */
  readonly where: string
  readonly own: boolean
  end(timeout: number): Promise<void>
}

export function isClients(target: unknown): target is ServiceBusClients {
  const { client, admin } = (target ?? {}) as Partial<ServiceBusClients>
  return (
    typeof client?.createReceiver === 'function' && typeof admin?.createSubscription === 'function'
  )
}

/** Throws an `OptionsError`, without what is secret, for what is neither. */
export function toConfig(target: ServiceBusConfig | string): ServiceBusConfig {
  const config = typeof target === 'string' ? { connectionString: target } : target
  const { connectionString, adminConnectionString = connectionString } = config ?? {}
  if (![connectionString, adminConnectionString].every((text) => /^\s*Endpoint=/i.test(text))) {
    throw new OptionsError(
      'azureServiceBusDriver takes { client, admin }, clients of @azure/service-bus; or a ' +
        'connection string, Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…; or ' +
        '{ connectionString, adminConnectionString }.',
    )
  }
  return { connectionString, adminConnectionString }
}

export async function makeClients(config: ServiceBusConfig, timeout: number): Promise<Clients> {
  const library = await loadPeer(
    'azureServiceBusDriver',
    '@azure/service-bus',
    () => import('@azure/service-bus'),
  )
  const { connectionString, adminConnectionString = connectionString } = config
  const retryOptions = { maxRetries: 0, timeoutInMs: timeout, retryDelayInMs: 100 }
  const client = new library.ServiceBusClient(connectionString, { retryOptions })
  const admin = new library.ServiceBusAdministrationClient(adminConnectionString, {
    retryOptions: { maxRetries: 0 },
  })
  const isPlain = /UseDevelopmentEmulator=true/i.test(adminConnectionString)
  const agent = limitConnections(admin, isPlain)
  return {
    client,
    admin,
    where: addressIn(connectionString),
    own: true,
    async end(bound) {
      const socket = socketOf(client)
      await within(client.close(), bound)
      // A peer that does not answer would keep it open for a minute, and rhea lets go of its
      // timers at an error, but not when a socket is destroyed without one.
      for (const open of [socket, socketOf(client)]) open?.destroy(new Error('closed'))
      forgetTokens(client)
      agent.destroy()
    },
  }
}

export function broughtClients({ client, admin }: ServiceBusClients): Clients {
  const where = client.fullyQualifiedNamespace
  return { client, admin, where, own: false, end: async () => undefined }
}

/**
 * Few connections while topics are opened, and one when they are: the library would keep them all.
 *
 * @param isPlain For the emulator, which speaks plain HTTP where the library asks for HTTPS.
 */
function limitConnections(admin: ServiceBusAdministrationClient, isPlain: boolean): Agent {
  const { pipeline } = admin as unknown as { pipeline?: Pipeline }
  const agent = new (isPlain ? HttpAgent : HttpsAgent)({
    keepAlive: true,
    maxSockets: 10,
    maxFreeSockets: 1,
  })
  pipeline?.addPolicy({
    name: 'unifrostConnections',
    sendRequest(request, next) {
      request.agent = agent
      if (isPlain) {
        request.url = request.url.replace(/^https:/, 'http:')
        request.allowInsecureConnection = true
      }
      return next(request)
    },
  })
  return agent
}

interface Pipeline {
  addPolicy(policy: {
    name: string
    sendRequest(
      request: { url: string; agent?: Agent; allowInsecureConnection?: boolean },
      next: (request: unknown) => Promise<unknown>,
    ): Promise<unknown>
  }): void
}

function addressIn(connectionString: string): string {
  const endpoint = /Endpoint=sb:\/\/([^;/]+)/i.exec(connectionString)?.[1] ?? 'an unknown address'
  if (endpoint.includes(':')) return endpoint
  return /UseDevelopmentEmulator=true/i.test(connectionString)
    ? `${endpoint}:5672`
    : `${endpoint}:5671`
}

interface ServiceBusProblem {
  code?: string
  statusCode?: number
  message?: string
}

/** It has been refused, and would be again: nothing is there, or it is not allowed. */
export function isRefusal(error: unknown): boolean {
  const { code = '', statusCode = 0 } = error as ServiceBusProblem
  if (/MessagingEntityNotFound|MessagingEntityDisabled|Unauthorized|QuotaExceeded/i.test(code)) {
    return true
  }
  return statusCode >= 400 && statusCode < 500 && statusCode !== 408 && statusCode !== 429
}

/** What went wrong, and what to do about it. */
export function explain(what: string, where: string, cause: unknown): Error {
  const { code = '', statusCode, message = '' } = cause as ServiceBusProblem
  const words = [...new Set([message.trim(), code, statusCode])].filter(Boolean).join(', ')
  let advice = 'Check that it is up and reachable, and correct the connection string.'
  if (statusCode === 404 || /NotFound$/i.test(code))
    advice = 'Create the topic, or correct its name.'
  else if (statusCode === 401 || statusCode === 403 || /Unauthorized/i.test(code)) {
    advice = 'Check the key, and that it has the rights Manage and Listen for the topic.'
  } else if (isRefusal(cause)) advice = 'Correct what it names.'
  return new Error(
    `${what} can't be read from Azure Service Bus at ${where} (${words}). ${advice}`,
    { cause },
  )
}
