import type { Client } from '../delivery/client.js'
import type { Timer, Timers } from '../clock.js'
import type { Directory, Revision } from '../directory.js'
import { DirectoryUnavailableError } from '../errors.js'
import type { Grant, Membership } from '../delivery/membership.js'
import type { ClientLease } from './client-lease.js'
import { deferred } from './client-lease.js'
import type { ClientRecord, RecordLimits } from './record.js'
import { readRecord, writeRecord } from './record.js'
import { MovedError } from '../service/local-commands.js'

/** The most records that are written at once. Others wait, and are written as they are by then. */
const MOST_AT_ONCE = 64
/** The most tries of a compare-and-set, which fails while other servers change the record. */
export const MOST_TRIES = 5
/** The time until a failed write is tried again, in milliseconds. */
const RETRY = 1_000
/**
 * The least time that a connected client's record is kept if its server crashes, in milliseconds.
 */
const SHORTEST_LIFE = 10 * 60 * 1000

/**
 * What became of a removed client's record: it is gone; it was changed, since another server has
 * the client; or the directory does not answer, and it is deleted later.
 */
export type RecordEnd = 'gone' | 'changed' | 'owed'

/** What a `DirectoryWriter` needs of its server. */
export interface DirectoryWriterHost {
  readonly server: string
  readonly clientTTL: number
  readonly limits: RecordLimits
  /** A client's position, as text. */
  positionOf(client: Client): string
  /** The position after which a subscription begins, as text; null without a log. */
  sinceOf(membership: Membership): string | null
  /** Another server has the client. @param streaming Whether it has a stream there. */
  moved(lease: ClientLease, streaming: boolean): void
  /**
   * Another server still has the client, by a record of a lower generation, and must give it up.
   */
  superseded(lease: ClientLease, server: string): void
  /** The record was in doubt, and was now written: the client is still this server's. */
  confirmed(lease: ClientLease): void
  warn(details: object, message: string): void
}

/** Writes this server's clients to the directory when they change. A message changes none. */
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

  /** How long the record is to be kept if it is written now, in milliseconds. */
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
    const granted = new Map<string, Grant>()
    for (const membership of client.memberships) {
      const { topic, grant } = membership
      topics.set(topic.name, this.host.sinceOf(membership))
      if (grant !== undefined) granted.set(topic.name, grant)
    }
    // One that a message has ended: whether the client knows, shows on the server that it comes to.
    for (const membership of client.failed) {
      const { topic } = membership
      const since = topic.keeping?.rule.end && this.host.sinceOf(membership)
      if (
        typeof since === 'string' &&
        topics.size < this.host.limits.maxTopics &&
        !topics.has(topic.name)
      )
        topics.set(topic.name, since)
    }
    return {
      id: client.id,
      owner: client.owner,
      server: this.host.server,
      connected,
      generation,
      topics,
      granted,
      labels: client.labels,
      position: connected ? undefined : this.host.positionOf(client),
      streamed: client.acknowledged < Infinity,
      rest,
    }
  }

  /**
   * Writes the client as it is now. A write in progress is finished first.
   *
   * @throws MovedError if another server has the client. DirectoryUnavailableError if the directory
   *   does not answer; the writer then tries again until the record is written.
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

  /** Writes the client as it is now, without a result. */
  note(lease: ClientLease): void {
    // `run` tries again after an error; a client that has moved was dropped by `lose`.
    this.save(lease).catch((error: unknown) => void error)
  }

  /** Whether the record in the directory has the client's current state. */
  isWritten(lease: ClientLease): boolean {
    const { wanted, writing } = lease
    return wanted === undefined && writing === undefined && !this.unwritten.has(lease)
  }

  /** Writes the client as disconnected, with its position, and forgets it here. */
  async release(lease: ClientLease): Promise<void> {
    lease.last = { ...this.recordOf(lease), connected: false }
    lease.last.position ??= this.host.positionOf(lease.client)
    const saved = this.save(lease)
    await saved.catch((error: unknown) => void error)
    this.drop(lease)
  }

  /** Forgets the client here. Its record stays as it is. */
  drop(lease: ClientLease): void {
    lease.lost = true
    this.byClient.delete(lease.client)
    this.unwritten.delete(lease)
  }

  /** Forgets a removed client, and deletes its record, now or when the directory answers again. */
  async end(lease: ClientLease): Promise<RecordEnd> {
    const { id, owner } = lease.client
    // Each write changes the revision, which deleting needs.
    while (lease.writing !== undefined) await lease.writing
    if (lease.lost) return 'changed'
    this.drop(lease)
    return lease.revision === undefined ? 'gone' : this.remove(id, owner, lease.revision)
  }

  /**
   * Writes every record, to find out which clients this server still has.
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

  /** Settles when no write is in progress or waiting. */
  async settled(): Promise<void> {
    if (this.writes === 0 && this.queue.length === 0) return
    await new Promise<void>((resolve) => this.idle.push(resolve))
  }

  stop(): void {
    this.timers.cancel(this.retrying)
    this.timers.cancel(this.renewing)
  }

  /** Deletes a record. Never rejects. */
  async remove(id: string, owner: string | undefined, revision: Revision): Promise<RecordEnd> {
    try {
      const isGone = await this.directory.delete({ id, owner }, revision)
      this.doomed.delete(revision)
      return isGone ? 'gone' : 'changed'
    } catch {
      // Deleted by `verifyAll` when the directory answers again, unless it has expired by then.
      if (!this.doomed.has(revision)) {
        this.doomed.set(revision, { id, owner })
        this.timers.after(this.life, () => this.doomed.delete(revision))
      }
      return 'owed'
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

  /** The record's revision is not the one that this server wrote: finds out which server has it. */
  private async compare(lease: ClientLease): Promise<void> {
    const { id } = lease.client
    const stored = await this.directory.get(id)
    if (stored === undefined) {
      // In doubt, another server has taken and removed the client. Else the engine has lost the
      // record, and it is written again.
      if (lease.doubted) this.lose(lease, false)
      lease.revision = undefined
      return
    }
    const record = readRecord(id, stored.text, this.host.limits)
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

  /**
   * Renews connected clients' records at about half of their life. With a life of 10 minutes it
   * looks every 75 s, and renews those that were written 225 s ago or earlier.
   */
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
