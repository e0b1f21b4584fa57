import type { Calls, FoundClient, OwnerCheck, Presence } from './calls.js'
import type { Client } from './client.js'
import type { Clients } from './clients.js'
import type { Count } from './cluster-messages.js'
import { NoClientError } from './errors.js'
import type { SubscribeOptions, Subscriptions } from './subscriptions.js'

/** How many clients of this process there are: all, those of a topic, or those of an owner. */
export function countHere(
  { roster }: Clients,
  subscriptions: Subscriptions,
  { topic, owner }: { topic?: string; owner?: string },
): Count {
  if (topic !== undefined) return subscriptions.count(topic)
  if (owner === undefined) return { clients: roster.size, connected: roster.connected }
  const clients = roster.of(owner)
  return { clients: clients.length, connected: clients.filter((one) => one.connected).length }
}

/** A Streamer that is alone: all clients are here. */
export class LocalCalls implements Calls {
  constructor(
    private readonly clients: Clients,
    private readonly subscriptions: Subscriptions,
  ) {}

  async create(id: string, owner: string | undefined): Promise<Client> {
    return this.clients.make(id, owner, false)
  }

  claim(id: string, check: OwnerCheck): Client {
    const client = this.mustGet(id)
    check(client.owner)
    return client
  }

  async find(id: string): Promise<FoundClient | undefined> {
    const client = this.clients.roster.get(id)
    if (client === undefined) return undefined
    const { owner, connected, topics } = client
    return { id, owner, connected, topics, server: undefined }
  }

  async count(of: { topic?: string; owner?: string }): Promise<Presence> {
    return { ...countHere(this.clients, this.subscriptions, of), silent: [] }
  }

  async subscribe(id: string, topic: string, options: SubscribeOptions): Promise<void> {
    await this.subscriptions.subscribe(this.mustGet(id), topic, options)
  }

  async unsubscribe(id: string, topic: string): Promise<void> {
    this.subscriptions.unsubscribe(this.mustGet(id), topic)
  }

  async remove(id: string): Promise<void> {
    this.clients.remove(this.mustGet(id), 'removed')
  }

  async revoke(ownerOrId: string): Promise<number> {
    const { roster } = this.clients
    const clients = new Set(roster.of(ownerOrId))
    const named = roster.get(ownerOrId)
    if (named !== undefined) clients.add(named)
    for (const client of clients) this.clients.remove(client, 'revoked')
    return clients.size
  }

  private mustGet(id: string): Client {
    const client = this.clients.roster.get(id)
    if (client === undefined) throw new NoClientError()
    return client
  }
}
