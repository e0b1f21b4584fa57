import type { Client } from './client.js'
import type { Count } from './cluster-messages.js'
import type { SubscribeOptions } from './subscriptions.js'

/** A client, wherever it is. */
export interface FoundClient {
  id: string
  owner: string | undefined
  /** Whether it has a stream. */
  connected: boolean
  topics: string[]
  /** The server that has it; undefined without a `directory`. */
  server: string | undefined
}

/** How many clients there are over all servers, each as it was when it was asked. */
export interface Presence extends Count {
  /** The servers that were asked in vain: their clients are not counted. */
  silent: string[]
}

/** See `Streamer.health`. */
export interface Health {
  /** Neither closing nor without its directory. */
  ok: boolean
  /** Only with a `directory`: whether it answers. */
  directory?: 'up' | 'down'
  /** Only with a `directory`: since when that is so, in milliseconds since 1970. */
  since?: number
}

/** Throws where who asks may not have a client of this owner. */
export type OwnerCheck = (owner: string | undefined) => void

/** What can be asked about any client: of this process alone, or of all servers. */
export interface Calls {
  /** Makes a client. @throws ClientExistsError */
  create(id: string, owner: string | undefined): Promise<Client>
  /**
   * The client of a request that wants its stream; it is on this server from then on. Not a
   * promise, where nobody has to be asked.
   */
  claim(id: string, check: OwnerCheck): Client | Promise<Client>
  find(id: string): Promise<FoundClient | undefined>
  count(of: { topic?: string; owner?: string }): Promise<Presence>
  subscribe(id: string, topic: string, options: SubscribeOptions): Promise<void>
  unsubscribe(id: string, topic: string): Promise<void>
  remove(id: string): Promise<void>
  /** Removes the client with this id, and all of the owner's. @returns how many those were. */
  revoke(ownerOrId: string): Promise<number>
}
