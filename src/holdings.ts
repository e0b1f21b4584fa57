import type { Client } from './client.js'
import type { Timer, Timers } from './clock.js'
import type { Directory, Revision } from './directory.js'
import { DirectoryUnavailableError } from './errors.js'
import type { Membership } from './membership.js'
import type { ClientRecord } from './record.js'
import { readRecord, writeRecord } from './record.js'

/** How many records are written at once; in a storm the others wait, and their newest state counts. */
const MOST_AT_ONCE = 64
/** How often something is tried that other servers change as well. */
export const MOST_TRIES = 5
/** After how long what could not be written is tried again, in milliseconds. */
const RETRY = 1_000
/** The record of a connected client outlives a crash of its server by at least so long. */
const SHORTEST_LIFE = 10 * 60 * 1000

/** How the directory knows one client of this server. */
export class Holding {
  revision: Revision | undefined = undefined
  /** When it was last written, by the clock. */
  writtenAt = 0
  /** How many requests have been let in whose streams are not open yet. */
  claims = 0
  /** Whether others may have taken the client since it was last written. */
  doubted = false
  /** Whether it is written no more: it has gone elsewhere, or is over. */
  lost = false
  /** Settles when the client is complete, its topics open. */
  ready: Promise<void> = Promise.resolve()
  /** @internal What waits for the next write. */
  wanted: PromiseWithResolversOf<void> | undefined = undefined
  /** @internal The write that is under way. Never rejects. */
  writing: Promise<void> | undefined = undefined
  /** What is written last, of a client that this server has let go. */
  last: ClientRecord | undefined = undefined

  constructor(
    readonly client: Client,
    public generation: number,
    readonly rest: Readonly<Record<string, unknown>> = {},
  ) {}

  get connected(): boolean {
    return this.client.connected || this.claims > 0
  }
}

/** As `Promise.withResolvers` makes it. */
interface PromiseWithResolversOf<T> {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (reason: unknown) => void
}

/** That the directory gives the client to another server. */
export class MovedError extends Error {}

/** What the holdings need of their server. */
export interface HoldingsHost {
  readonly server: string
  readonly clientTTL: number
  /** Where a client stands, as it is named on the wire. */
  positionOf(client: Client): string
  /** From where a subscription counts, as it is named on the wire; null where that says nothing elsewhere. */
  sinceOf(membership: Membership): string | null
  /** Another server has the client; `streaming` where it has a stream there. */
  moved(holding: Holding, streaming: boolean): void
  /** An older copy of the client was found at another server, which is to let go of it. */
  superseded(holding: Holding, server: string): void
  /** The directory has been asked, and the client is still ours. */
  confirmed(holding: Holding): void
  warn(details: object, message: string): void
}

/** Writes to the directory what changes in the clients of this server: never per message. */
export class Holdings {
  private readonly byClient = new Map<Client, Holding>()
  private readonly queue: Holding[] = []
  private readonly unwritten = new Set<Holding>()
  private readonly doomed = new Map<Revision, { id: string; owner: string | undefined }>()
  private writes = 0
  private idle: (() => void)[] = []
  private retrying: Timer | undefined
  private renewing: Timer | undefined

  constructor(
    private readonly directory: Directory,
    private readonly timers: Timers,
    private readonly host: HoldingsHost,
  ) {
    this.renewLater()
  }

  get all(): Holding[] {
    return [...this.byClient.values()]
  }

  of(client: Client): Holding | undefined {
    return this.byClient.get(client)
  }

  add(holding: Holding): void {
    holding.writtenAt = this.timers.clock.now()
    this.byClient.set(holding.client, holding)
  }

  /** How long the record of a connected client is kept without being renewed, in milliseconds. */
  get life(): number {
    return Math.min(Math.max(2 * this.host.clientTTL, SHORTEST_LIFE), 2 ** 31 - 1)
  }

  /** How long a record is kept from now on, in milliseconds. */
  lifeOf({ client, connected, last }: Holding): number {
    if (last !== undefined) return this.host.clientTTL
    if (connected) return this.life
    const { expiry } = client
    const left = expiry === undefined ? this.host.clientTTL : expiry.due - this.timers.clock.now()
    return Math.max(1, Math.ceil(Math.min(left, this.host.clientTTL)))
  }

  recordOf(holding: Holding): ClientRecord {
    const { client, generation, rest, connected } = holding
    const topics = new Map<string, string | null>()
    for (const [name, membership] of client.memberships) {
      topics.set(name, this.host.sinceOf(membership))
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
  save(holding: Holding): Promise<void> {
    if (holding.lost) return Promise.reject(new MovedError())
    if (holding.wanted !== undefined) return holding.wanted.promise
    const wanted = withResolvers()
    holding.wanted = wanted
    if (holding.writing === undefined) this.queue.push(holding)
    this.pump()
    return wanted.promise
  }

  /** The same, where nobody waits for it. */
  note(holding: Holding): void {
    // What fails is tried again, and where the client has gone it is dropped: both are done here.
    this.save(holding).catch((error: unknown) => void error)
  }

  /** Whether the directory has the client as it is. */
  isWritten(holding: Holding): boolean {
    const { wanted, writing } = holding
    return wanted === undefined && writing === undefined && !this.unwritten.has(holding)
  }

  /** Writes a client as one without a server, before it is let go here. */
  async release(holding: Holding): Promise<void> {
    holding.last = { ...this.recordOf(holding), connected: false }
    holding.last.position ??= this.host.positionOf(holding.client)
    const saved = this.save(holding)
    await saved.catch((error: unknown) => void error)
    this.drop(holding)
  }

  /** Forgets a client here; its record is whoever's it is. */
  drop(holding: Holding): void {
    holding.lost = true
    this.byClient.delete(holding.client)
    this.unwritten.delete(holding)
  }

  /** Forgets a client that is over, and deletes its record, now or when the engine is back. */
  async end(holding: Holding): Promise<void> {
    const { id, owner } = holding.client
    // A write under way moves the revision on.
    while (holding.writing !== undefined) await holding.writing
    if (holding.lost) return
    this.drop(holding)
    if (holding.revision !== undefined) await this.remove(id, owner, holding.revision)
  }

  /** Writes everything, to find out what is still ours. */
  verifyAll(doubt: boolean): void {
    for (const holding of this.byClient.values()) {
      holding.doubted ||= doubt
      this.note(holding)
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
      const holding = this.queue.shift()
      if (holding === undefined) break
      this.writes++
      holding.writing = this.run(holding).then(() => {
        holding.writing = undefined
        this.writes--
        if (holding.wanted !== undefined) this.queue.push(holding)
        this.pump()
      })
    }
    if (this.writes > 0) return
    for (const resolve of this.idle.splice(0)) resolve()
  }

  private async run(holding: Holding): Promise<void> {
    const { resolve, reject } = holding.wanted!
    holding.wanted = undefined
    try {
      await this.write(holding)
      this.unwritten.delete(holding)
      resolve()
    } catch (error) {
      if (!holding.lost) this.retryLater(holding)
      reject(error)
    }
  }

  private async write(holding: Holding): Promise<void> {
    const { client } = holding
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      if (holding.lost) throw new MovedError()
      const { id, owner } = client
      const text = writeRecord(holding.last ?? this.recordOf(holding))
      const life = this.lifeOf(holding)
      const at = this.timers.clock.now()
      const revision = await this.directory.put({ id, owner, text }, holding.revision, life)
      if (revision !== undefined) {
        holding.revision = revision
        holding.writtenAt = at
        if (holding.doubted) {
          holding.doubted = false
          this.host.confirmed(holding)
        }
        return
      }
      await this.compare(holding)
    }
    throw new DirectoryUnavailableError(new Error('Others change this record all the time.'))
  }

  /** The record is not as we left it: whose is it? */
  private async compare(holding: Holding): Promise<void> {
    const { id } = holding.client
    const stored = await this.directory.get(id)
    if (stored === undefined) {
      // Deleted by who had taken it meanwhile, or lost by the engine, which is written anew.
      if (holding.doubted) this.lose(holding, false)
      holding.revision = undefined
      return
    }
    const record = readRecord(id, stored.text)
    if (typeof record === 'string') {
      this.host.warn({ reason: record }, 'A record in the directory is none of ours.')
      this.lose(holding, false)
    } else if (record.server !== this.host.server) {
      if (record.generation >= holding.generation) this.lose(holding, record.connected)
      this.host.superseded(holding, record.server)
    }
    holding.revision = stored.revision
  }

  private lose(holding: Holding, streaming: boolean): never {
    this.drop(holding)
    this.host.moved(holding, streaming)
    throw new MovedError()
  }

  private retryLater(holding: Holding): void {
    this.unwritten.add(holding)
    this.retrying ??= this.timers.after(RETRY, () => {
      this.retrying = undefined
      for (const unwritten of this.unwritten) this.note(unwritten)
    })
  }

  /** Records of connected clients are renewed when half of their life is over. */
  private renewLater(): void {
    this.renewing = this.timers.after(this.life / 8, () => {
      const due = this.timers.clock.now() - (this.life * 3) / 8
      for (const holding of this.byClient.values()) {
        if (holding.connected && holding.writtenAt <= due) this.note(holding)
      }
      this.renewLater()
    })
  }
}

function withResolvers(): PromiseWithResolversOf<void> {
  let resolve!: () => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
