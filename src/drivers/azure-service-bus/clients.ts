import { Agent as HttpAgent } from 'node:http'
import type { Agent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { ServiceBusAdministrationClient, ServiceBusClient } from '@azure/service-bus'
import { OptionsError } from '../../errors.js'
import { loadPeer, whenAbsent, within } from '../../driver-kit/index.js'
import { forgetTokens, socketOf } from './library-internals.js'

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

/** A pair of clients that the driver uses, for as long as their connection is alive. */
export interface Clients extends ServiceBusClients {
  /** Aborted when these clients are not used any more. */
  readonly ended: AbortSignal
  /** Closes them within `timeout` milliseconds, unless they are the user's. */
  end(timeout: number): Promise<void>
}

export function isClients(target: unknown): target is ServiceBusClients {
  const { client, admin } = (target ?? {}) as Partial<ServiceBusClients>
  return (
    typeof client?.createReceiver === 'function' && typeof admin?.createSubscription === 'function'
  )
}

/** @throws OptionsError for what is neither, which does not repeat the key. */
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
  for (const text of [connectionString, adminConnectionString]) checkKey(text)
  return { connectionString, adminConnectionString }
}

/** Without a key, the library throws a `TypeError` when it is used. */
function checkKey(connectionString: string): void {
  const has = (name: string) => new RegExp(`;\\s*${name}=[^;\\s]`, 'i').test(connectionString)
  if (has('SharedAccessSignature') || (has('SharedAccessKeyName') && has('SharedAccessKey'))) return
  throw new OptionsError(
    'azureServiceBusDriver got a connection string without a key. It takes ' +
      'Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…; copy it whole from the shared access ' +
      'policies of the namespace.',
  )
}

export const loadLibrary = () =>
  loadPeer('azureServiceBusDriver', '@azure/service-bus', importServiceBus)

/** @param timeout How long one call may take, in milliseconds. */
export async function makeClients(config: ServiceBusConfig, timeout: number): Promise<Clients> {
  const library = await loadLibrary()
  const { connectionString, adminConnectionString = connectionString } = config
  const retryOptions = { maxRetries: 0, timeoutInMs: timeout, retryDelayInMs: 100 }
  const client = new library.ServiceBusClient(connectionString, { retryOptions })
  const admin = new library.ServiceBusAdministrationClient(adminConnectionString, {
    retryOptions: { maxRetries: 0 },
  })
  const isPlain = /UseDevelopmentEmulator=true/i.test(adminConnectionString)
  const agent = limitConnections(admin, isPlain)
  const ending = new AbortController()
  return {
    client,
    admin,
    ended: ending.signal,
    async end(bound) {
      ending.abort()
      const socket = socketOf(client)
      await within(client.close(), bound)
      // A peer that does not answer would keep the socket open for a minute. The error makes rhea
      // let go of its timers, which it keeps when a socket is destroyed without one.
      for (const open of [socket, socketOf(client)]) open?.destroy(new Error('closed'))
      forgetTokens(client)
      agent.destroy()
    },
  }
}

export function broughtClients({ client, admin }: ServiceBusClients): Clients {
  const ending = new AbortController()
  return { client, admin, ended: ending.signal, end: async () => ending.abort() }
}

/**
 * Keeps ten connections at most while topics are opened, and one afterwards. The library would keep
 * as many as it has ever used at once.
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

/** Host and port in a connection string, for errors. */
export function addressIn(connectionString: string): string {
  const endpoint = /Endpoint=sb:\/\/([^;/]+)/i.exec(connectionString)?.[1] ?? 'an unknown address'
  if (endpoint.includes(':')) return endpoint
  return /UseDevelopmentEmulator=true/i.test(connectionString)
    ? `${endpoint}:5672`
    : `${endpoint}:5671`
}

async function importServiceBus() {
  try {
    return await import('@azure/service-bus')
  } catch (error) {
    return whenAbsent('@azure/service-bus', error)
  }
}
