import { ServiceBusAdministrationClient, ServiceBusClient } from '@azure/service-bus'
import { azureServiceBusDriver } from '../../../src/drivers/azure-service-bus.js'
import type { AzureServiceBusDriverOptions } from '../../../src/drivers/azure-service-bus.js'
import { tcpLink } from '../../../src/testing/index.js'
import type { DriverHarness, Link, Refusal } from '../../../src/testing/index.js'
import { startServiceBusPeer } from '../../brokers/azure-service-bus.js'
import type { ServiceBusPeer } from '../../brokers/azure-service-bus.js'
import { connectionsTo } from '../../brokers/process.js'
import { OWNED } from './left-out.js'

/** A dead link is noticed within some five seconds instead of ten. */
export const QUICK = {
  connectTimeout: 5_000,
  pingInterval: 300,
  pingTimeout: 5_000,
} satisfies AzureServiceBusDriverOptions

/** What the drivers are made of: connection strings, or clients that somebody brought. */
export type Source = 'connection string' | 'clients'

/** The key of all connection strings, in base64 as Azure gives them. */
const SECRET = Buffer.from('a secret key').toString('base64')

export function connectionString(port: number, key = 'any', host = '127.0.0.1'): string {
  return `Endpoint=sb://${host}:${port};SharedAccessKeyName=${key};SharedAccessKey=${SECRET};UseDevelopmentEmulator=true;`
}

/** What the tests share: one peer, and links to its two ports. */
export class ServiceBusFixture {
  #peer: ServiceBusPeer | undefined
  #links: Link[] = []

  async start(): Promise<void> {
    this.#peer = await startServiceBusPeer()
    this.#links = [await tcpLink(this.peer.port), await tcpLink(this.peer.adminPort)]
  }

  async stop(): Promise<void> {
    for (const link of this.#links) await link.close()
    await this.#peer?.stop()
  }

  get peer(): ServiceBusPeer {
    if (!this.#peer) throw new Error('The fixture has not been started.')
    return this.#peer
  }

  /** What a driver is made with that takes the way over the links. */
  config(key?: string) {
    const [link, admin] = this.#links
    return {
      connectionString: connectionString(link?.port ?? 0, key),
      adminConnectionString: connectionString(admin?.port ?? 0, key),
    }
  }

  /** How many connections there are by way of the links. */
  async connections(): Promise<number> {
    const counts = await Promise.all(this.#links.map(({ port }) => connectionsTo(port)))
    return counts.reduce((sum, count) => sum + count, 0)
  }

  cut(): void {
    for (const link of this.#links) link.cut()
  }

  stall(): void {
    for (const link of this.#links) link.stall()
  }

  refuse(): Refusal {
    const refusals = this.#links.map((link) => link.refuse())
    return {
      get attempts() {
        return refusals.flatMap(({ attempts }) => attempts).sort((a, b) => a - b)
      },
      end: () => refusals.forEach((refusal) => refusal.end()),
    }
  }

  /** Clients as a user would make them. */
  clients() {
    const { connectionString, adminConnectionString } = this.config()
    const client = new ServiceBusClient(connectionString, { retryOptions: { retryDelayInMs: 50 } })
    const admin = new ServiceBusAdministrationClient(adminConnectionString)
    const { pipeline } = admin as unknown as { pipeline: { addPolicy(policy: unknown): void } }
    pipeline.addPolicy({
      name: 'plainHttp',
      sendRequest(request: Record<string, unknown>, next: (request: unknown) => unknown) {
        request['url'] = String(request['url']).replace('https:', 'http:')
        request['allowInsecureConnection'] = true
        return next(request)
      },
    })
    return { client, admin }
  }
}

const NAMES = ['', ' ', 'a b', '/a', 'a/', 'a//b', 'a?b', 'a\0b', 'ä', 'x'.repeat(261), 'missing']

/** The contract's harness for one way of getting clients. */
export function serviceBusHarness(
  fixture: ServiceBusFixture,
  source: Source,
  limits: AzureServiceBusDriverOptions = QUICK,
): { harness: DriverHarness; end(): Promise<void> } {
  const made: ServiceBusClient[] = []
  const bring = () => {
    const clients = fixture.clients()
    made.push(clients.client)
    return clients
  }
  const library = 'on a connection of the user, the library notices it after one to two minutes'
  const harness: DriverHarness = {
    bound: 30_000,
    create: () => azureServiceBusDriver(source === 'clients' ? bring() : fixture.config(), limits),
    publish: (topic, payload) => fixture.peer.publish(topic, payload),
    // Each topic asks for a subscription anew, and to delete each that may have come of an earlier try.
    connectionsPerTry: 10,
    special: { internal: ['orders/$DeadLetterQueue'] },
    badTopics: NAMES,
    deniedTopic: 'denied.topic',
    cut: () => fixture.cut(),
    async freeze() {
      await fixture.peer.process.freeze()
      return async () => fixture.peer.process.thaw()
    },
    restart: () => fixture.peer.restart(),
    ...(source === 'clients'
      ? {}
      : { stall: () => fixture.stall(), refuse: () => fixture.refuse() }),
    without: {
      ...(source === 'clients' ? { stall: library, refuse: OWNED, ownConnection: OWNED } : {}),
    },
    async leftovers() {
      const { subscriptions, connections } = await fixture.peer.state()
      // Clients that were brought are their owner's, and no leftover.
      return subscriptions.length + (source === 'clients' ? 0 : connections)
    },
    subscriptions: async () => (await fixture.peer.state()).subscriptions.length,
    unreachable(address) {
      const [host, port] = address.split(':')
      return azureServiceBusDriver(connectionString(Number(port), 'any', host), QUICK)
    },
    badLogin: () => ({
      driver: azureServiceBusDriver(fixture.config('wrong'), QUICK),
      address: '127.0.0.1',
      secret: SECRET,
    }),
    async brought() {
      const clients = fixture.clients()
      return {
        driver: () => azureServiceBusDriver(clients, QUICK),
        // Its clients are no emitters.
        listeners: () => 0,
        async check() {
          const sender = clients.client.createSender('still.works')
          await sender.sendMessages({ body: Buffer.from('x') })
          await sender.close()
        },
        end: () => clients.client.close(),
      }
    },
  }
  return {
    harness,
    end: async () => void (await Promise.all(made.map((client) => client.close()))),
  }
}
