import type { Client } from '../delivery/client.js'
import type { Revocation } from './revocations.js'
import type { Place } from './places.js'
import type { JoinOptions } from './subscriptions.js'

/** A number of clients. */
export interface Count {
  clients: number
  /** How many of them have an open stream. */
  connected: number
}

/** Which clients to count: all, those of a topic, or those of an owner. */
export interface CountFilter {
  topic?: string
  owner?: string
}

/** A client on any server. */
export interface FoundClient {
  id: string
  owner: string | undefined
  /** Whether it has an open stream. */
  connected: boolean
  topics: string[]
  /** The server that has it; undefined without a `directory`. */
  server: string | undefined
}

/** The number of clients on all servers. Each server counts when it is asked. */
export interface Presence extends Count {
  /** The servers that did not answer: their clients are not counted. */
  silent: string[]
}

/** What came of `removeClient` or `revoke`. */
export interface Removal {
  /** How many clients were ended, as far as is known. */
  ended: number
  /**
   * Where it is not done yet: names of servers that have not answered, and `directory` if the
   * directory has not. It is done when they are back. Empty if all is done.
   */
  pending: string[]
}

/** See `Streamer.health`. */
export interface Health {
  /** False while the Streamer drains or is closed, or while its broker or directory is unreachable. */
  ok: boolean
  /** Whether the driver reaches its broker. Only with a driver that says so: all but `memoryDriver`. */
  broker?: 'up' | 'down'
  /** Only with a `directory`: whether it answers. */
  directory?: 'up' | 'down'
  /**
   * Since when what `broker` and `directory` say is so, in milliseconds since 1970: the later one, of
   * two. Without a `directory` it is there once the broker has been down.
   */
  since?: number
}

/** Throws if the request may not have a client of this owner. */
export type OwnerCheck = (owner: string | undefined) => void

/**
 * Commands that name a client by its id. Without a directory the Streamer carries them out itself;
 * with one, the server that has the client does.
 */
export interface ClientCommands {
  /** Makes a client, in the room that was reserved for it. @throws ClientExistsError */
  create(id: string, owner: string | undefined, place: Place): Promise<Client>
  /** The client of a request for a stream. When it resolves, this server has the client. */
  claim(id: string, check: OwnerCheck): Promise<Client>
  find(id: string): Promise<FoundClient | undefined>
  count(of: CountFilter): Promise<Presence>
  /** @returns whether it was not subscribed before. */
  subscribe(id: string, topic: string, options: JoinOptions): Promise<boolean>
  /** @returns whether it was subscribed. */
  unsubscribe(id: string, topic: string): Promise<boolean>
  /** @throws NoClientError; DirectoryUnavailableError if nothing is known. */
  remove(id: string): Promise<Removal>
  /** Ends the clients that are revoked, and refuses them from now on. Never rejects. */
  revoke(revocation: Revocation): Promise<Removal>
}
