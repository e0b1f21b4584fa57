import type { Client } from '../delivery/client.js'
import type { Timer, Timers } from '../clock.js'
import type { Directory, Revision } from '../directory.js'
import { DirectoryUnavailableError } from '../errors.js'
import type { Membership } from '../delivery/membership.js'
import type { ClientLease } from './client-lease.js'
import { deferred } from './client-lease.js'
import type { ClientRecord } from './record.js'
import { readRecord, writeRecord } from './record.js'
import { MovedError } from '../service/local-commands.js'

/** How many records are written at once; in a storm the others wait, and their newest state counts. */
const MOST_AT_ONCE = 64
/** How often something is tried that other servers change as well. */
export const MOST_TRIES = 5
/** After how long what could not be written is tried again, in milliseconds. */
const RETRY = 1_000
/** The record of a connected client outlives a crash of its server by at least so long. */
const SHORTEST_LIFE = 10 * 60 * 1000

/** What the directory writer needs of its server. */
export interface DirectoryWriterHost {
  readonly server: string
  readonly clientTTL: number
  /** Where a client stands, as it is named on the wire. */
  positionOf(client: Client): string
  /** From where a subscription counts, as it is named on the wire; null where that says nothing elsewhere. */
  sinceOf(membership: Membership): string | null
  /** Another server has the client; `streaming` where it has a stream there. */
  moved(lease: ClientLease, streaming: boolean): void
  /** An older copy of the client was found at another server, which is to let go of it. */
  superseded(lease: ClientLease, server: string): void
  /** The directory has been asked, and the client is still ours. */
  confirmed(lease: ClientLease): void
  warn(details: object, message: string): void
}

/** Writes to the directory what changes in the clients of this server: never per message. */
export class DirectoryWriter {
  private readonly byClient = new Map<Client, ClientLease>()
  private readonly queue: ClientLease[] = []
  private readonly unwritten = new Set<ClientLease>()
  private readonly doomed = new Map<Revision, { id: string; owner: string | undefined }>()
  private writes = 0
  private idle: (() => void)[] = []
  private retrying: Timer | undefined
  private renewing: Timer | undefined

  constructor(
    private readonly directory: Directory,
    private readonly timers: Timers,
    private readonly host: DirectoryWriterHost,
  ) {
    this.renewLater()
  }

  get all(): ClientLease[] {
    return [...this.byClient.values()]
  }

  leaseOf(client: Client): ClientLease | undefined {
    return this.byClient.get(client)
  }

  add(lease: ClientLease): void {
    lease.writtenAt = this.timers.clock.now()
    this.byClient.set(lease.client, lease)
  }

  /** How long the record of a connected client is kept without being renewed, in milliseconds. */
  get life(): number {
    return Math.min(Math.max(2 * this.host.clientTTL, SHORTEST_LIFE), 2 ** 31 - 1)
  }

  /** How long a record is kept from now on, in milliseconds. */
  lifeOf({ client, connected, last }: ClientLease): number {
    if (last !== undefined) return this.host.clientTTL
    if (connected) return this.life
    const { expiresAt } = client
    const left = expiresAt === undefined ? this.host.clientTTL : expiresAt - this.timers.clock.now()
    return Math.max(1, Math.ceil(Math.min(left, this.host.clientTTL)))
  }

  recordOf(lease: ClientLease): ClientRecord {
    const { client, generation, rest, connected } = lease
    const topics = new Map<string, string | null>()
    for (const membership of client.memberships) {
      topics.set(membership.topic.name, this.host.sinceOf(membership))
    }
    return {
      id: client.id,
      owner: client.owner,
      server: this.host.server,
      connected,
      generation,
      topics,
      position: connected ? undefined : this.host.positionOf(client),
      rest,
    }
  }

  /**
   * Writes a client as it is now, after the write that may be under way.
   *
   * @throws MovedError where another server has it; DirectoryUnavailableError, and then it is
   *   tried again by itself until it is written.
   */
  save(lease: ClientLease): Promise<void> {
    if (lease.lost) return Promise.reject(new MovedError())
    if (lease.wanted !== undefined) return lease.wanted.promise
    const wanted = deferred()
    lease.wanted = wanted
    if (lease.writing === undefined) this.queue.push(lease)
    this.pump()
    return wanted.promise
  }

  /** Writes a client as it is now; nobody waits for it. */
  note(lease: ClientLease): void {
    // What fails is tried again, and where the client has gone it is dropped: both are done here.
    this.save(lease).catch((error: unknown) => void error)
  }

  /** Whether the directory has the client as it is. */
  isWritten(lease: ClientLease): boolean {
    const { wanted, writing } = lease
    return wanted === undefined && writing === undefined && !this.unwritten.has(lease)
  }

  /** Writes a client as one without a server, before it is let go here. */
  async release(lease: ClientLease): Promise<void> {
    lease.last = { ...this.recordOf(lease), connected: false }
    lease.last.position ??= this.host.positionOf(lease.client)
    const saved = this.save(lease)
    await saved.catch((error: unknown) => void error)
    this.drop(lease)
  }

  /** Forgets a client here; its record is whoever's it is. */
  drop(lease: ClientLease): void {
    lease.lost = true
    this.byClient.delete(lease.client)
    this.unwritten.delete(lease)
  }

  /** Forgets a client that is over, and deletes its record, now or when the engine is back. */
  async end(lease: ClientLease): Promise<void> {
    const { id, owner } = lease.client
    // A write under way moves the revision on.
    while (lease.writing !== undefined) await lease.writing
    if (lease.lost) return
    this.drop(lease)
    if (lease.revision !== undefined) await this.remove(id, owner, lease.revision)
  }

  /**
   * Writes every record, to find out which clients are still ours.
   *
   * @param options.doubt Whether another server may have taken clients meanwhile.
   */
  verifyAll({ doubt }: { doubt: boolean }): void {
    for (const lease of this.byClient.values()) {
      lease.doubted ||= doubt
      this.note(lease)
    }
    for (const [revision, { id, owner }] of this.doomed) void this.remove(id, owner, revision)
  }

  /** Settles when no write is under way or waits. */
  async settled(): Promise<void> {
    if (this.writes === 0 && this.queue.length === 0) return
    await new Promise<void>((resolve) => this.idle.push(resolve))
  }

  stop(): void {
    this.timers.cancel(this.retrying)
    this.timers.cancel(this.renewing)
  }

  private async remove(id: string, owner: string | undefined, revision: Revision): Promise<void> {
    try {
      await this.directory.delete({ id, owner }, revision)
      this.doomed.delete(revision)
    } catch {
      // It is deleted when the engine is back, or has expired by then.
      if (this.doomed.has(revision)) return
      this.doomed.set(revision, { id, owner })
      this.timers.after(this.life, () => this.doomed.delete(revision))
    }
  }

  private pump(): void {
    while (this.writes < MOST_AT_ONCE) {
      const lease = this.queue.shift()
      if (lease === undefined) break
      this.writes++
      lease.writing = this.run(lease).then(() => {
        lease.writing = undefined
        this.writes--
        if (lease.wanted !== undefined) this.queue.push(lease)
        this.pump()
      })
    }
    if (this.writes > 0) return
    for (const resolve of this.idle.splice(0)) resolve()
  }

  private async run(lease: ClientLease): Promise<void> {
    const { resolve, reject } = lease.wanted!
    lease.wanted = undefined
    try {
      await this.write(lease)
      this.unwritten.delete(lease)
      resolve()
    } catch (error) {
      if (!lease.lost) this.retryLater(lease)
      reject(error)
    }
  }

  private async write(lease: ClientLease): Promise<void> {
    const { client } = lease
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      if (lease.lost) throw new MovedError()
      const { id, owner } = client
      const text = writeRecord(lease.last ?? this.recordOf(lease))
      const life = this.lifeOf(lease)
      const at = this.timers.clock.now()
      const revision = await this.directory.put({ id, owner, text }, lease.revision, life)
      if (revision !== undefined) {
        lease.revision = revision
        lease.writtenAt = at
        if (lease.doubted) {
          lease.doubted = false
          this.host.confirmed(lease)
        }
        return
      }
      await this.compare(lease)
    }
    throw new DirectoryUnavailableError(
      new Error(`Gave up after ${MOST_TRIES} tries: the client's record kept changing.`),
    )
  }

  /** The record is not as we left it: whose is it? */
  private async compare(lease: ClientLease): Promise<void> {
    const { id } = lease.client
    const stored = await this.directory.get(id)
    if (stored === undefined) {
      // Deleted by who had taken it meanwhile, or lost by the engine, which is written anew.
      if (lease.doubted) this.lose(lease, false)
      lease.revision = undefined
      return
    }
    const record = readRecord(id, stored.text)
    if (typeof record === 'string') {
      this.host.warn(
        { reason: record },
        'Ignored a directory record that this version cannot read.',
      )
      this.lose(lease, false)
    } else if (record.server !== this.host.server) {
      if (record.generation >= lease.generation) this.lose(lease, record.connected)
      this.host.superseded(lease, record.server)
    }
    lease.revision = stored.revision
  }

  private lose(lease: ClientLease, streaming: boolean): never {
    this.drop(lease)
    this.host.moved(lease, streaming)
    throw new MovedError()
  }

  private retryLater(lease: ClientLease): void {
    this.unwritten.add(lease)
    this.retrying ??= this.timers.after(RETRY, () => {
      this.retrying = undefined
      for (const unwritten of this.unwritten) this.note(unwritten)
    })
  }

  /** Records of connected clients are renewed when half of their life is over. */
  private renewLater(): void {
    this.renewing = this.timers.after(this.life / 8, () => {
      const due = this.timers.clock.now() - (this.life * 3) / 8
      for (const lease of this.byClient.values()) {
        if (lease.connected && lease.writtenAt <= due) this.note(lease)
      }
      this.renewLater()
    })
  }
}
