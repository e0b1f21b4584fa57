import type { Client } from '../delivery/client.js'
import { NoClientError } from '../errors.js'
import type { Clients } from './clients.js'
import type {
  ClientCommands,
  Count,
  CountFilter,
  FoundClient,
  OwnerCheck,
  Presence,
  Removal,
} from './commands.js'
import type { Revocation } from './revocations.js'
import type { Place } from './places.js'
import type { JoinOptions, Subscriptions } from './subscriptions.js'

/** The client moved to another server before this one had carried out a command. */
export class MovedError extends Error {}

/** The records of this server's clients in the directory. */
export interface ClientRecords {
  /**
   * Writes the client's record, with its topics. After an error it is tried again until it is
   * written.
   *
   * @throws MovedError if another server has the client; DirectoryUnavailableError.
   */
  save(client: Client): Promise<void>
  /** Whether the record has the client's current state. */
  isSaved(client: Client): boolean
}

/**
 * Commands on this server's clients. A command that names another client throws NoClientError.
 *
 * @param records The directory's records; undefined without a directory.
 */
export class LocalCommands implements ClientCommands {
  constructor(
    private readonly clients: Clients,
    private readonly subscriptions: Subscriptions,
    private readonly records?: ClientRecords,
  ) {}

  async create(id: string, owner: string | undefined, place: Place): Promise<Client> {
    return this.clients.make(id, { owner }, place)
  }

  async claim(id: string, check: OwnerCheck): Promise<Client> {
    const client = this.get(id)
    check(client.owner)
    return client
  }

  async find(id: string): Promise<FoundClient | undefined> {
    const client = this.clients.index.get(id)
    if (client === undefined) return undefined
    const { owner, connected, topics } = client
    return { id, owner, connected, topics, server: undefined }
  }

  async count(of: CountFilter): Promise<Presence> {
    return { ...this.countHere(of), silent: [] }
  }

  countHere({ topic, owner }: CountFilter): Count {
    const { index } = this.clients
    if (topic !== undefined) return this.subscriptions.count(topic)
    if (owner === undefined) return { clients: index.size, connected: index.connected }
    const clients = index.of(owner)
    return { clients: clients.length, connected: clients.filter((one) => one.connected).length }
  }

  /**
   * Subscribes a client. With a directory, it resolves when the client's record has the topic. If
   * the record can't be written, it undoes the subscription.
   *
   * @throws MovedError, DirectoryUnavailableError, and the errors of `Streamer.subscribe`
   */
  async subscribe(id: string, topic: string, options: JoinOptions): Promise<boolean> {
    const client = this.get(id)
    const isNew = await this.subscriptions.subscribe(client, topic, options)
    if (this.records === undefined || (!isNew && this.records.isSaved(client))) return isNew
    try {
      await this.records.save(client)
    } catch (error) {
      if (isNew && !(error instanceof MovedError)) this.subscriptions.unsubscribe(client, topic)
      throw error
    }
    return isNew
  }

  /** Unsubscribes a client. If the directory does not answer, the record is written later. */
  async unsubscribe(id: string, topic: string): Promise<boolean> {
    const client = this.get(id)
    const had = this.subscriptions.unsubscribe(client, topic)
    await this.records?.save(client).catch((error: unknown) => {
      if (error instanceof MovedError) throw error
    })
    return had
  }

  async remove(id: string): Promise<Removal> {
    this.clients.remove(this.get(id), 'removed')
    return { ended: 1, pending: [] }
  }

  async revoke(revocation: Revocation): Promise<Removal> {
    const { revocations } = this.clients
    revocations.learn(revocation)
    const clients = revocations.clientsOf(revocation)
    for (const client of clients) this.clients.remove(client, 'revoked')
    return { ended: clients.length, pending: [] }
  }

  private get(id: string): Client {
    const client = this.clients.index.get(id)
    if (client === undefined) throw new NoClientError()
    return client
  }
}
