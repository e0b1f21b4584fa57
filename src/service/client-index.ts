import type { Client } from '../delivery/client.js'

/** This server's clients, by id and by owner. */
export class ClientIndex {
  private readonly clients = new Map<string, Client>()
  private readonly owned = new Map<string, Set<Client>>()

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
    if (client.owner === undefined) return
    let clients = this.owned.get(client.owner)
    if (clients === undefined) this.owned.set(client.owner, (clients = new Set()))
    clients.add(client)
  }

  remove(client: Client): void {
    this.clients.delete(client.id)
    if (client.owner === undefined) return
    const clients = this.owned.get(client.owner)
    clients?.delete(client)
    if (clients?.size === 0) this.owned.delete(client.owner)
  }

  /** All clients, in an array of its own. */
  all(): Client[] {
    return [...this.clients.values()]
  }

  /** An owner's clients, in an array of its own. */
  of(owner: string): Client[] {
    return [...(this.owned.get(owner) ?? [])]
  }
}
