import type { Client } from '../delivery/client.js'
import { NoClientError } from '../errors.js'
import type { Clients } from './clients.js'
import type {
  ClientCommands,
  Count,
  CountFilter,
  Each,
  FoundClient,
  NewRecord,
  OwnerCheck,
  Presence,
  Removal,
  Selected,
} from './commands.js'
import type { Revocation } from './revocations.js'
import { inTurns } from './rights.js'
import type { Place } from './places.js'
import type { Selector } from './selector.js'
import type { JoinOptions, Subscriptions } from './subscriptions.js'

/** How many clients are changed at once. */
const AT_ONCE = 64

/** What was done with several clients of one server. */
export interface Done {
  /** The ids of those for which it was done. */
  clients: string[]
  /** How many of them go with their connection. */
  automatic: number
  /** The first error, if one was met. */
  error?: Error
}

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

  async create({ id, owner, labels }: NewRecord, place: Place): Promise<Client> {
    return this.clients.make(id, { owner, labels }, place)
  }

  async claim(id: string, check: OwnerCheck): Promise<Client> {
    const client = this.get(id)
    check(client.owner)
    return client
  }

  async find(id: string): Promise<FoundClient | undefined> {
    const client = this.clients.index.get(id)
    if (client === undefined) return undefined
    return found(client)
  }

  async list(which: Selector | undefined): Promise<FoundClient[]> {
    return this.clients.revocations.select(which).map(found)
  }

  async each(which: Selector, what: Each): Promise<Selected> {
    const { clients, automatic, error } = await this.eachHere(which, what)
    if (error !== undefined) throw error
    return { clients: clients.length, automatic, pending: [] }
  }

  /** Does something with this server's clients that are meant. Never rejects. */
  async eachHere(which: Selector, what: Each): Promise<Done> {
    const done: Done = { clients: [], automatic: 0 }
    await inTurns(this.clients.revocations.select(which), AT_ONCE, async (client) => {
      try {
        await this.one(client.id, what)
        done.clients.push(client.id)
        if (client.transient) done.automatic++
      } catch (error) {
        // It has gone, or moved, meanwhile.
        if (error instanceof NoClientError || error instanceof MovedError) return
        done.error ??= error as Error
      }
    })
    return done
  }

  private async one(id: string, what: Each): Promise<void> {
    const each = what.topics.map((topic) =>
      what.do === 'subscribe'
        ? this.subscribe(id, topic, what.options)
        : this.unsubscribe(id, topic),
    )
    await Promise.allSettled(each)
    await Promise.all(each)
  }

  async count(of: CountFilter): Promise<Presence> {
    return { ...this.countHere(of), silent: [] }
  }

  countHere({ topic, owner }: CountFilter): Count {
    const { index } = this.clients
    if (topic !== undefined) return this.subscriptions.count(topic)
    if (owner === undefined) return { clients: index.size, connected: index.connected }
    const clients = index.of(owner)
    const connected = clients.filter((one) => one.connected).length
    return { clients: clients.length, connected, ids: clients.map(({ id }) => id) }
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

function found({ id, owner, labels, connected, topics }: Client): FoundClient {
  return { id, owner, labels, connected, topics, server: undefined }
}
