import type { Client, Streamer } from '../index.js'

/** The clients of a process: those of each owner, and since when each has its stream. */
export class Owners {
  private readonly clients = new Map<string, Set<Client>>()
  private readonly connected = new Map<Client, number>()

  constructor(streamer: Streamer) {
    streamer.on('clientCreated', (client) => {
      const { owner } = client
      if (owner === undefined) return
      const its = this.clients.get(owner)
      if (its === undefined) this.clients.set(owner, new Set([client]))
      else its.add(client)
    })
    streamer.on('clientRemoved', (client) => {
      const { owner } = client
      if (owner === undefined) return
      const its = this.clients.get(owner)
      its?.delete(client)
      if (its?.size === 0) this.clients.delete(owner)
    })
    streamer.on('connect', (client) => this.connected.set(client, performance.now()))
    // Later than other listeners, which ask for how long the stream was.
    streamer.on('disconnect', (client) => queueMicrotask(() => this.connected.delete(client)))
  }

  /** An owner's clients in this process. */
  of(owner: string): Client[] {
    return [...(this.clients.get(owner) ?? [])]
  }

  /** The clients that have a stream. */
  streaming(): Client[] {
    return [...this.connected.keys()]
  }

  /** Since when a client has its stream, by `performance.now()`. */
  since(client: Client): number | undefined {
    return this.connected.get(client)
  }
}
