import type { Client } from '../delivery/client.js'
import type { Selector } from './selector.js'

/** This server's clients: by id, by owner and by label. */
export class ClientIndex {
  private readonly clients = new Map<string, Client>()
  private readonly owned = new Groups()
  private readonly labelled = new Groups()

  get size(): number {
    return this.clients.size
  }

  /** The number of clients with an open connection. */
  get connected(): number {
    let count = 0
    for (const client of this.clients.values()) if (client.connected) count++
    return count
  }

  get(id: string): Client | undefined {
    return this.clients.get(id)
  }

  add(client: Client): void {
    this.clients.set(client.id, client)
    if (client.owner !== undefined) this.owned.add(client.owner, client)
    for (const [name, value] of Object.entries(client.labels)) {
      this.labelled.add(labelKey(name, value), client)
    }
  }

  remove(client: Client): void {
    this.clients.delete(client.id)
    if (client.owner !== undefined) this.owned.remove(client.owner, client)
    for (const [name, value] of Object.entries(client.labels)) {
      this.labelled.remove(labelKey(name, value), client)
    }
  }

  /** All clients, in an array of its own. */
  all(): Client[] {
    return [...this.clients.values()]
  }

  /** An owner's clients, in an array of its own. */
  of(owner: string): Client[] {
    return this.owned.get(owner)
  }

  /** The clients that are meant, in an array of its own. A session counts as a label does. */
  select({ name, value }: Selector): Client[] {
    if (name === 'owner') return this.of(value)
    if (name !== 'id') return this.labelled.get(labelKey(name, value))
    const client = this.clients.get(value)
    return client === undefined ? [] : [client]
  }
}

/** Sets of clients by a key. A set without a client is not kept. */
class Groups {
  private readonly groups = new Map<string, Set<Client>>()

  add(key: string, client: Client): void {
    const group = this.groups.get(key)
    if (group === undefined) this.groups.set(key, new Set([client]))
    else group.add(client)
  }

  remove(key: string, client: Client): void {
    const group = this.groups.get(key)
    group?.delete(client)
    if (group?.size === 0) this.groups.delete(key)
  }

  get(key: string): Client[] {
    return [...(this.groups.get(key) ?? [])]
  }
}

/** No label's name has a space in it. */
function labelKey(name: string, value: string): string {
  return `${name} ${value}`
}
