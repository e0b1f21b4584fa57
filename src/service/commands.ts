import type { Client } from '../delivery/client.js'
import type { Revocation } from './revocations.js'
import type { Place } from './places.js'
import type { Labels, Selector } from './selector.js'
import type { JoinOptions } from './subscriptions.js'

/** A number of clients. */
export interface Count {
  clients: number
  /** How many of them have an open stream. */
  connected: number
  /** Their ids, where an owner's clients are counted. */
  ids?: string[]
}

/** Which clients to count: all, those of a topic, or those of an owner. */
export interface CountFilter {
  topic?: string
  owner?: string
}

/** What is done with each of several clients. */
export type Each =
  | { do: 'subscribe'; topics: readonly string[]; options: JoinOptions }
  | { do: 'unsubscribe'; topics: readonly string[] }

/** What a call did that means several clients. */
export interface Selected {
  /** How many clients it was done for. */
  clients: number
  /**
   * How many of them go with their connection, as `autoClient` makes them by default. What they were
   * given goes with it: the `topics` of `autoClient` must name it, too, for the next one.
   */
  automatic: number
  /** The servers that did not answer: their clients are as before, or will follow. */
  pending: string[]
}

/** A client on any server. */
export interface FoundClient {
  id: string
  owner: string | undefined
  /** What it was marked with where it was made. */
  labels: Labels
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

/** What a client is made of. */
export interface NewRecord {
  readonly id: string
  readonly owner: string | undefined
  readonly labels: Labels | undefined
}

/**
 * Commands that name a client by its id. Without a directory the Streamer carries them out itself;
 * with one, the server that has the client does.
 */
export interface ClientCommands {
  /** Makes a client, in the room that was reserved for it. @throws ClientExistsError */
  create(whose: NewRecord, place: Place): Promise<Client>
  /** The client of a request for a stream. When it resolves, this server has the client. */
  claim(id: string, check: OwnerCheck): Promise<Client>
  find(id: string): Promise<FoundClient | undefined>
  count(of: CountFilter): Promise<Presence>
  /** @returns whether it was not subscribed before. */
  subscribe(id: string, topic: string, options: JoinOptions): Promise<boolean>
  /** @returns whether it was subscribed. */
  unsubscribe(id: string, topic: string): Promise<boolean>
  /** Does the same with all clients that are meant. @throws the first error, after all are done. */
  each(which: Selector, what: Each): Promise<Selected>
  /** The clients that are meant. @throws ServerSilentError if a server does not answer. */
  list(which: Selector | undefined): Promise<FoundClient[]>
  /** @throws NoClientError; DirectoryUnavailableError if nothing is known. */
  remove(id: string): Promise<Removal>
  /** Ends the clients that are revoked, and refuses them from now on. Never rejects. */
  revoke(revocation: Revocation): Promise<Removal>
}
