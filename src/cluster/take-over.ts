import type { Client } from '../delivery/client.js'
import type { Directory, Revision, Stored } from '../directory.js'
import { DirectoryUnavailableError, NoClientError, StreamerClosedError } from '../errors.js'
import type { OwnerCheck } from '../service/commands.js'
import { MovedError } from '../service/local-commands.js'
import type { Place } from '../service/places.js'
import { UNKNOWN_POSITION } from '../wire/position.js'
import { Arrival } from './arrivals.js'
import type { Arrivals } from './arrivals.js'
import { ClientLease } from './client-lease.js'
import type { DirectoryWriter } from './directory-writer.js'
import { MOST_TRIES } from './directory-writer.js'
import type { ClusterParts } from './parts.js'
import { readAnswer, writeQuestion } from './protocol.js'
import type { ClientRecord } from './record.js'
import { readRecord, writeRecord } from './record.js'

/** Why a client is taken over. */
export type TakeOverReason =
  /** A request wants its stream. */
  | 'stream'
  /** A command names it, and the server that its record names has died. */
  | 'orphan'

/** What `TakeOvers` needs of its server. */
export interface TakeOversHost {
  readonly arrivals: Arrivals
}

/** A client whose record names this server now. */
interface Taken {
  /** The record as it was. */
  record: ClientRecord
  /** The room that was reserved for the client. */
  place: Place
  generation: number
  revision: Revision
  reason: TakeOverReason
}

/**
 * Brings clients of other servers to this one.
 *
 * ```text
 * this server                      directory                 the former server
 *   get record ────────────────────▶ revision 7, server a
 *   put record, if revision is 7 ──▶ revision 8, server b
 *   'release' ─────────────────────────────────────────────▶ ends its stream
 *   position ◀────────────────────────────────────────────── the client's position
 *   opens the client's topics
 * ```
 *
 * The write comes first, so if two servers want a client, one of them gets it. This server waits
 * for the former one, which may be dead, frozen or cut off, for at most `takeoverTimeout`.
 */
export class TakeOvers {
  private readonly underWay = new Map<string, Promise<Client>>()

  constructor(
    private readonly server: string,
    private readonly directory: Directory,
    private readonly writer: DirectoryWriter,
    private readonly parts: ClusterParts,
    private readonly host: TakeOversHost,
  ) {}

  /**
   * The client of a request for a stream. When it resolves, this server has the client.
   *
   * @throws NoClientError, what `check` throws, StreamerClosedError, TooManyClientsError,
   *   DirectoryUnavailableError
   */
  async claim(id: string, check: OwnerCheck): Promise<Client> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      await this.settled(id)
      const client = this.parts.clients.index.get(id)
      if (client === undefined) {
        if (this.underWay.has(id)) continue
        return this.takeOver(id, check, 'stream')
      }
      const lease = this.writer.leaseOf(client)
      await lease?.ready
      check(client.owner)
      if (lease === undefined) return client
      if (await this.confirm(lease)) return client
    }
    throw movesAllTheTime()
  }

  /** Waits for a take-over of this client in progress, also if it fails. */
  async settled(id: string): Promise<void> {
    await this.underWay.get(id)?.catch((error: unknown) => void error)
  }

  /** Waits for all take-overs in progress. */
  async allSettled(): Promise<void> {
    await Promise.allSettled(this.underWay.values())
  }

  /**
   * Takes a client over from the server that its record names. If another request is doing so,
   * waits for it. See {@link claim} for the errors.
   */
  async takeOver(id: string, check: OwnerCheck, reason: TakeOverReason): Promise<Client> {
    const present = this.parts.clients.index.get(id) ?? this.underWay.get(id)
    if (present !== undefined) return present
    const takeOver = this.host.arrivals
      .during(new Arrival(id, undefined), (arrival) => this.write(arrival, check, reason))
      .finally(() => this.underWay.delete(id))
    this.underWay.set(id, takeOver)
    return takeOver
  }

  /** A client's record, or undefined if there is none that this version can read. */
  async peek(id: string): Promise<{ record: ClientRecord; stored: Stored } | undefined> {
    const stored = await this.directory.get(id)
    if (stored === undefined) return undefined
    const record = readRecord(id, stored.text, this.parts.settings)
    if (typeof record !== 'string') return { record, stored }
    this.parts.warn({ reason: record }, 'Ignored a directory record that this version cannot read.')
    return undefined
  }

  /** A client's record. @throws NoClientError if there is none that this version can read. */
  async recordOf(id: string): Promise<{ record: ClientRecord; stored: Stored }> {
    const found = await this.peek(id)
    if (found === undefined) throw new NoClientError()
    return found
  }

  /** Makes the lease of a client whose record this server has just written. */
  hold(client: Client, generation: number, revision: Revision, rest = {}): ClientLease {
    const lease = new ClientLease(client, generation, rest)
    lease.revision = revision
    this.writer.add(lease)
    return lease
  }

  /**
   * Asks another server to give a client up.
   *
   * @returns the client's position there, and whether that server has let it go for sure: it may
   *   also not answer, or say that it has a claim of its own.
   */
  async askToRelease(
    { client, generation }: ClientLease,
    server: string,
    stream = client.connected,
  ): Promise<{ position?: string | undefined; letGo: boolean }> {
    if (server === this.server) return { letGo: true }
    const question = writeQuestion({ ask: 'release', id: client.id, generation, stream })
    const { takeoverTimeout } = this.parts.settings
    try {
      const outcome = await this.directory.ask(server, question, takeoverTimeout)
      if (typeof outcome === 'string') return { letGo: outcome === 'gone' }
      const answer = readAnswer(outcome.answer)
      if (answer.is !== 'done') return { letGo: false }
      const { position } = (answer.value ?? {}) as { position?: string }
      return { position, letGo: true }
    } catch (error) {
      // That server finds out when the directory refuses its next write.
      this.parts.warn({ err: error, server }, 'Could not tell a server that its client has moved.')
      return { letGo: false }
    }
  }

  /** Writes that a client of this server gets a new stream. @returns false if it has moved. */
  private async confirm(lease: ClientLease): Promise<boolean> {
    lease.claims++
    lease.generation++
    try {
      await this.writer.save(lease)
    } catch (error) {
      // While the directory does not answer, this server serves the clients that it has.
      return !(error instanceof MovedError)
    }
    return lease.client.end === undefined
  }

  private async write(
    arrival: Arrival,
    check: OwnerCheck,
    reason: TakeOverReason,
  ): Promise<Client> {
    const { settings, clients, delivery } = this.parts
    const { id } = arrival
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const { record, stored } = await this.recordOf(id)
      if (arrival.stopped) throw new NoClientError()
      check(record.owner)
      if (this.parts.refusing()) throw new StreamerClosedError()
      const connected = reason === 'stream'
      const generation = record.generation + 1
      const ours: ClientRecord = { ...record, server: this.server, connected, generation }
      const entry = { id, owner: record.owner, text: writeRecord(ours) }
      const life = connected ? this.writer.life : settings.clientTTL
      // What means it by a label finds it on no server while it moves.
      const { labels } = record
      clients.revocations.check({ labels })
      const place = clients.reserve({ owner: record.owner })
      let revision: Revision | undefined
      try {
        // Checked before the record is written: without its log, this server can't serve the client.
        await delivery.ready()
        revision = await this.directory.put(entry, stored.revision, life)
      } finally {
        if (revision !== undefined && clients.revocations.refuses({ labels }))
          arrival.stopped = true
        if (revision === undefined || arrival.stopped) place.leave()
      }
      if (revision === undefined) continue
      if (!arrival.stopped) {
        const taking = this.take({ record, place, generation, revision, reason })
        this.host.arrivals.end(arrival)
        return taking
      }
      await this.writer.remove(id, record.owner, revision)
      arrival.hasFormer = record.server !== this.server
      throw new NoClientError()
    }
    throw new DirectoryUnavailableError(
      new Error(`Gave up after ${MOST_TRIES} tries: the client's record kept changing.`),
    )
  }

  /**
   * Restores a client from its record, which now names this server. Meanwhile a third server may
   * take the client over.
   */
  private async take({ record, place, generation, revision, reason }: Taken): Promise<Client> {
    const { id, owner, server, topics, granted, labels, rest } = record
    const { clients, subscriptions } = this.parts
    const stream = reason === 'stream'
    const client = clients.make(id, { owner, labels }, place)
    const streamed = record.streamed || record.connected
    client.comeFrom((record.connected ? undefined : record.position) ?? UNKNOWN_POSITION, streamed)
    const lease = this.hold(client, generation, revision, rest)
    if (stream) lease.claims = 1
    const restored = [...topics].map(([name, since]) =>
      subscriptions.restore(client, name, since, granted.get(name)),
    )
    const released = this.askToRelease(lease, server, stream)
    lease.former = {
      server,
      at: this.parts.timers.clock.now(),
      letGo: released.then(({ letGo }) => letGo),
    }
    lease.ready = Promise.all([released, ...restored]).then(([{ position }]) => {
      if (position !== undefined) client.comeFrom(position, streamed)
    })
    await lease.ready
    return client
  }
}

/** The error if the client was on another server at each try. */
export function movesAllTheTime(): DirectoryUnavailableError {
  return new DirectoryUnavailableError(
    new Error(`Gave up after ${MOST_TRIES} tries: the client keeps moving from server to server.`),
  )
}
