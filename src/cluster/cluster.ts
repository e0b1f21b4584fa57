import { randomBytes } from 'node:crypto'
import type { Timer } from '../clock.js'
import type { Client } from '../delivery/client.js'
import type { Directory, DirectoryHost } from '../directory.js'
import { ClientExistsError, NoClientError, StreamerClosedError } from '../errors.js'
import type { ClientRecords } from '../service/local-commands.js'
import { LocalCommands, MovedError } from '../service/local-commands.js'
import type { NewRecord } from '../service/commands.js'
import type { Place } from '../service/places.js'
import type { Labels } from '../service/selector.js'
import { NO_LABELS } from '../service/selector.js'
import { Rechecks } from '../service/rechecks.js'
import { ClusterAnswers } from './answers.js'
import { Arrival, Arrivals } from './arrivals.js'
import type { ClientLease } from './client-lease.js'
import type { RecordEnd } from './directory-writer.js'
import { DirectoryWriter } from './directory-writer.js'
import { OpenedDirectory } from './opened-directory.js'
import type { ClusterParts } from './parts.js'
import type { ClientRecord } from './record.js'
import { writeRecord } from './record.js'
import { Removals } from './removals.js'
import { TakeOvers } from './take-over.js'

/**
 * How long streams stay suspended after the process was stopped, if the directory does not answer.
 */
const LONGEST_DOUBT = 5_000

/**
 * One server of a cluster. It takes clients over from other servers, gives its own up to them, and
 * keeps the directory up to date.
 *
 * A client belongs to the server that its record names. To take it over, a server writes itself
 * into the record, with compare-and-set on the revision and a higher generation. It then tells the
 * former server. If that one can't be reached, it finds out when the directory refuses its next
 * write. An example: server a holds the client at revision 7, generation 1. Server b writes
 * revision 8, generation 2. A later write of server a expects revision 7 and fails.
 */
export class Cluster implements DirectoryHost {
  readonly server: string
  readonly directory: OpenedDirectory
  readonly writer: DirectoryWriter
  readonly takeOvers: TakeOvers
  readonly arrivals = new Arrivals()
  readonly removals: Removals
  /** Commands on the clients that are on this server. */
  readonly here: LocalCommands
  /** Whether the directory answers, and since when, in milliseconds since 1970. */
  state: { directory: 'up' | 'down'; since: number } = { directory: 'down', since: Date.now() }
  /** Looks at the rights of this server's clients again. */
  readonly rechecks: Rechecks
  private readonly answers: ClusterAnswers
  private readonly creating = new Set<string>()
  private readonly ending = new Map<Client, Promise<RecordEnd>>()
  private memory: string | undefined
  private outage: Timer | undefined
  private doubt: Timer | undefined
  private opened: Promise<void> | undefined

  constructor(
    given: Directory,
    readonly parts: ClusterParts,
  ) {
    const { settings, timers, clients, subscriptions, delivery } = parts
    const directory = new OpenedDirectory(given, timers)
    this.directory = directory
    this.server = `${settings.server}-${randomBytes(4).toString('hex')}`
    this.writer = new DirectoryWriter(directory, timers, {
      server: this.server,
      clientTTL: settings.clientTTL,
      limits: settings,
      positionOf: (client) => this.positionOf(client),
      sinceOf: (membership) => delivery.sinceOf(membership),
      moved: ({ client }, replaced) => clients.dismiss(client, 'moved', { replaced }),
      superseded: (lease, server) => void this.takeOvers.askToRelease(lease, server),
      confirmed: (lease) => this.resume(lease),
      warn: (details, message) => parts.warn(details, message),
    })
    this.removals = new Removals(this)
    this.takeOvers = new TakeOvers(this.server, directory, this.writer, parts, {
      arrivals: this.arrivals,
    })
    const records: ClientRecords = {
      save: (client) => this.save(client),
      isSaved: (client) => this.isSaved(client),
    }
    this.here = new LocalCommands(clients, subscriptions, records)
    this.rechecks = new Rechecks(parts.rights, this.here, clients, subscriptions, records)
    this.answers = new ClusterAnswers(this.here, this.removals, this.rechecks, {
      leaseOf: (id) => this.leaseOf(id),
      letGo: (client, replaced) => this.letGo(client, replaced),
    })
  }

  /**
   * Connects to the directory. If the first attempt fails it rejects; the directory keeps trying.
   */
  open(): Promise<void> {
    this.opened ??= this.directory.open(this)
    return this.opened
  }

  /**
   * Makes a client.
   *
   * @throws ClientExistsError if any server has one with this id; NoClientError if it was removed
   *   before it was made.
   */
  async create(whose: NewRecord, place: Place): Promise<Client> {
    const { id, owner, labels = NO_LABELS } = whose
    if (this.creating.has(id)) throw new ClientExistsError()
    this.creating.add(id)
    try {
      return await this.arrivals.during(new Arrival(id, owner), (arrival) =>
        this.make(arrival, labels, place),
      )
    } finally {
      this.creating.delete(id)
    }
  }

  /** A request that claimed the client has got its stream, or will get none. */
  claimSettled(client: Client): void {
    const lease = this.writer.leaseOf(client)
    if (lease === undefined) return
    if (lease.claims > 0) lease.claims--
    if (!lease.connected) this.writer.note(lease)
  }

  /** A client's stream has ended. */
  streamEnded(client: Client): void {
    const lease = this.writer.leaseOf(client)
    if (lease !== undefined && !lease.connected) this.writer.note(lease)
  }

  /**
   * A client was removed. Settles when its record is deleted, or the directory does not answer.
   * Never rejects.
   */
  async ended(client: Client): Promise<RecordEnd> {
    const lease = this.writer.leaseOf(client)
    if (lease !== undefined && !this.ending.has(client)) {
      const ending = this.writer.end(lease).finally(() => this.ending.delete(client))
      this.ending.set(client, ending)
    }
    return (await this.ending.get(client)) ?? 'gone'
  }

  /**
   * Gives a client up, so that any server may take it at once. Never rejects.
   *
   * @param retry After how long its page comes back, in milliseconds. Default: as usual.
   */
  async release(client: Client, retry?: number): Promise<void> {
    const lease = this.writer.leaseOf(client)
    this.parts.delivery.flush()
    const released = lease && this.writer.release(lease)
    this.parts.clients.dismiss(client, 'released', { replaced: false, retry })
    await released
  }

  /** Gives all clients up, also those that are being taken over now. */
  async releaseAll(): Promise<void> {
    this.directory.stopWaiting()
    await this.takeOvers.allSettled()
    await Promise.all(this.parts.clients.index.all().map((client) => this.release(client)))
  }

  receive(message: string): Promise<string> {
    return this.answers.to(message)
  }

  up(memory: string): void {
    const forgotten = this.memory !== undefined && this.memory !== memory
    this.memory = memory
    if (this.state.directory === 'down') this.state = { directory: 'up', since: Date.now() }
    this.parts.timers.cancel(this.outage)
    this.writer.verifyAll({ doubt: !forgotten })
    this.removals.directoryIsBack({ forgotten })
  }

  down(error: Error): void {
    if (this.state.directory === 'down') return
    this.state = { directory: 'down', since: Date.now() }
    this.parts.warn({ err: error }, 'The directory of clients does not answer. Open streams go on.')
    const { maxDirectoryOutage } = this.parts.settings
    if (maxDirectoryOutage === 0) return
    this.outage = this.parts.timers.after(maxDirectoryOutage, () => {
      for (const lease of this.writer.all) {
        this.writer.drop(lease)
        this.parts.clients.dismiss(lease.client, 'released', { replaced: false })
      }
    })
  }

  lapsed(): void {
    for (const lease of this.writer.all) {
      lease.doubted = true
      lease.client.suspend()
    }
    this.parts.timers.cancel(this.doubt)
    this.doubt = this.parts.timers.after(LONGEST_DOUBT, () => {
      for (const lease of this.writer.all) this.resume(lease)
    })
  }

  /** Writes what can be written, then closes the directory. */
  async close(): Promise<void> {
    await this.opened?.catch((error: unknown) => void error)
    await this.writer.settled()
    await Promise.all(this.ending.values())
    this.writer.stop()
    this.removals.stop()
    await this.directory.close()
  }

  private async make(arrival: Arrival, labels: Labels, place: Place): Promise<Client> {
    const { clients, delivery, settings, refusing } = this.parts
    const { id, owner } = arrival
    const record: ClientRecord = {
      ...{ id, owner, server: this.server, connected: false, generation: 1 },
      ...{ topics: new Map<string, string | null>(), granted: new Map(), labels, rest: {} },
      position: delivery.position,
      streamed: false,
    }
    const text = writeRecord(record)
    const revision = await this.directory.put({ id, owner, text }, undefined, settings.clientTTL)
    if (revision === undefined) throw new ClientExistsError()
    if (refusing() || arrival.stopped) {
      await this.directory.delete({ id, owner }, revision)
      throw arrival.stopped ? new NoClientError() : new StreamerClosedError()
    }
    const client = clients.make(id, { owner, labels }, place)
    this.takeOvers.hold(client, 1, revision)
    return client
  }

  private async save(client: Client): Promise<void> {
    const lease = this.writer.leaseOf(client)
    if (lease !== undefined) await this.writer.save(lease)
    else if (client.end === 'moved') throw new MovedError()
  }

  private isSaved(client: Client): boolean {
    const lease = this.writer.leaseOf(client)
    return lease === undefined ? client.end !== 'moved' : this.writer.isWritten(lease)
  }

  private leaseOf(id: string): ClientLease | undefined {
    const client = this.parts.clients.index.get(id)
    return client && this.writer.leaseOf(client)
  }

  private letGo(client: Client, replaced: boolean): string {
    this.parts.delivery.flush()
    const position = this.positionOf(client)
    this.writer.drop(this.writer.leaseOf(client)!)
    this.parts.clients.dismiss(client, 'moved', { replaced })
    return position
  }

  /** A client's position, for the next server that has it. */
  private positionOf(client: Client): string {
    return client.handover ?? this.parts.delivery.positionOf(client)
  }

  /** Sends to a client again that was suspended while another server might have taken it. */
  private resume({ client }: ClientLease): void {
    if (client.unsuspend()) this.parts.delivery.catchUp(client)
  }
}
