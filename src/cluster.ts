import { randomBytes } from 'node:crypto'
import type { OwnerCheck } from './calls.js'
import type { Client } from './client.js'
import type { Clients } from './clients.js'
import type { Timer, Timers } from './clock.js'
import { ClusterAnswers } from './cluster-answers.js'
import { readAnswer, writeQuestion } from './cluster-messages.js'
import type { Delivery } from './delivery.js'
import type { Directory, DirectoryHost, Revision, Stored } from './directory.js'
import {
  ClientExistsError,
  DirectoryUnavailableError,
  NoClientError,
  StreamerClosedError,
  TooManyClientsError,
} from './errors.js'
import { safely } from './events.js'
import { Holding, Holdings, MOST_TRIES, MovedError } from './holdings.js'
import type { Settings } from './options.js'
import { UNKNOWN_POSITION } from './position.js'
import type { ClientRecord } from './record.js'
import { readRecord, writeRecord } from './record.js'
import type { Subscriptions } from './subscriptions.js'

/** How long nothing is sent after the process was stopped, while the engine is silent. */
const LONGEST_DOUBT = 5_000

/** What a server's part in the cluster is made of. */
export interface ClusterParts {
  readonly settings: Settings
  readonly timers: Timers
  readonly clients: Clients
  readonly subscriptions: Subscriptions
  readonly delivery: Delivery
  /** Whether the Streamer takes nothing new. */
  refusing(): boolean
  report(cause: unknown, message: string): void
}

/**
 * One server among several: takes clients over from others, gives its own to them, and keeps the
 * directory up to date.
 *
 * A client belongs to the server that its record names. Whoever changes that does it with
 * compare-and-set on the record's revision and a higher generation; the former server is told, and
 * if it can't hear, finds out when its own next write fails.
 */
export class Cluster implements DirectoryHost {
  readonly server: string
  readonly holdings: Holdings
  /** Whether the engine is there, and since when, in milliseconds since 1970. */
  state: { directory: 'up' | 'down'; since: number } = { directory: 'down', since: Date.now() }
  private readonly answers: ClusterAnswers
  private readonly adopting = new Map<string, Promise<Client>>()
  private readonly creating = new Set<string>()
  private readonly ending = new Map<Client, Promise<void>>()
  private memory: string | undefined
  private outage: Timer | undefined
  private doubt: Timer | undefined
  private opened: Promise<void> | undefined

  constructor(
    readonly directory: Directory,
    readonly parts: ClusterParts,
  ) {
    const { settings, timers, delivery } = parts
    this.server = `${settings.server}-${randomBytes(4).toString('hex')}`
    this.holdings = new Holdings(directory, timers, {
      server: this.server,
      clientTTL: settings.clientTTL,
      positionOf: (client) => this.positionOf(client),
      sinceOf: (membership) => delivery.sinceOf(membership),
      moved: ({ client }, streaming) => parts.clients.dismiss(client, 'moved', streaming),
      superseded: (holding, server) => void this.askToRelease(holding, server),
      confirmed: (holding) => this.resume(holding),
      warn: (details, message) => this.warn(details, message),
    })
    this.answers = new ClusterAnswers(this)
  }

  /** Connects to the engine. Rejects when the first attempt fails; it is tried on all the same. */
  open(): Promise<void> {
    this.opened ??= this.directory.open(this)
    return this.opened
  }

  /** Makes a client that no server has. */
  async create(id: string, owner: string | undefined): Promise<Client> {
    const { clients, delivery, settings, refusing } = this.parts
    if (this.creating.has(id)) throw new ClientExistsError()
    this.creating.add(id)
    try {
      const record: ClientRecord = {
        ...{ id, owner, server: this.server, connected: false, generation: 1 },
        ...{ topics: new Map<string, string | null>(), rest: {} },
        position: delivery.numbering.format(delivery.delivered),
      }
      const text = writeRecord(record)
      const revision = await this.directory.put({ id, owner, text }, undefined, settings.clientTTL)
      if (revision === undefined) throw new ClientExistsError()
      if (refusing()) {
        await this.directory.delete({ id, owner }, revision)
        throw new StreamerClosedError()
      }
      const client = clients.make(id, owner, false)
      this.hold(client, 1, revision)
      return client
    } finally {
      this.creating.delete(id)
    }
  }

  /**
   * The client of a request that wants its stream: from now on it is this server's, and its next
   * call is `changed`.
   *
   * @throws NoClientError, what `check` throws, StreamerClosedError, TooManyClientsError,
   *   DirectoryUnavailableError
   */
  async claim(id: string, check: OwnerCheck): Promise<Client> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      await this.settledAdoption(id)
      const client = this.parts.clients.roster.get(id)
      if (client === undefined) {
        if (this.adopting.has(id)) continue
        return this.adopt(id, check, true)
      }
      const holding = this.holdings.of(client)
      await holding?.ready
      check(client.owner)
      if (holding === undefined) return client
      if (await this.confirm(holding)) return client
    }
    throw new DirectoryUnavailableError(new Error('The client moves from server to server.'))
  }

  /** Waits for an adoption that is under way, whatever comes of it. */
  async settledAdoption(id: string): Promise<void> {
    await this.adopting.get(id)?.catch((error: unknown) => void error)
  }

  /**
   * Takes a client over from the server that has it, or had it. See {@link claim}. Where another
   * request has just begun to do so, that one's client is the client.
   */
  async adopt(id: string, check: OwnerCheck, stream: boolean): Promise<Client> {
    const present = this.parts.clients.roster.get(id) ?? this.adopting.get(id)
    if (present !== undefined) return present
    const adoption = this.takeOver(id, check, stream).finally(() => this.adopting.delete(id))
    this.adopting.set(id, adoption)
    return adoption
  }

  /** A record as it is, or undefined where there is none that this version can read. */
  async peek(id: string): Promise<{ record: ClientRecord; stored: Stored } | undefined> {
    const stored = await this.directory.get(id)
    if (stored === undefined) return undefined
    const record = readRecord(id, stored.text)
    if (typeof record !== 'string') return { record, stored }
    this.warn({ reason: record }, 'A record in the directory is none of ours, and is left alone.')
    return undefined
  }

  /** The same. @throws NoClientError where there is none. */
  async recordOf(id: string): Promise<{ record: ClientRecord; stored: Stored }> {
    const found = await this.peek(id)
    if (found === undefined) throw new NoClientError()
    return found
  }

  /** A claimed client's stream is open or won't be, or a stream has ended. */
  changed(client: Client, claimed: boolean): void {
    const holding = this.holdings.of(client)
    if (holding === undefined) return
    if (claimed && holding.claims > 0) holding.claims--
    if (!holding.connected) this.holdings.note(holding)
  }

  /** A client is over, everywhere. Settles when the directory knows it, or can't. Never rejects. */
  async ended(client: Client): Promise<void> {
    const holding = this.holdings.of(client)
    if (holding !== undefined && !this.ending.has(client)) {
      const ending = this.holdings.end(holding).finally(() => this.ending.delete(client))
      this.ending.set(client, ending)
    }
    await this.ending.get(client)
  }

  /** Lets go of a client that another server may take at once. Never rejects. */
  async release(client: Client): Promise<void> {
    const holding = this.holdings.of(client)
    this.parts.delivery.flush()
    const released = holding && this.holdings.release(holding)
    this.parts.clients.dismiss(client, 'released', false)
    await released
  }

  /** Lets go of all clients, and of those that are just coming. */
  async releaseAll(): Promise<void> {
    await Promise.allSettled(this.adopting.values())
    await Promise.all(this.parts.clients.roster.all().map((client) => this.release(client)))
  }

  /** @internal Where a client stands, as the server that has it next will be told. */
  positionOf(client: Client): string {
    const { delivery } = this.parts
    return client.handover ?? delivery.positionOf(client)
  }

  receive(message: string): Promise<string> {
    return this.answers.to(message)
  }

  up(memory: string): void {
    const forgotten = this.memory !== undefined && this.memory !== memory
    this.memory = memory
    if (this.state.directory === 'down') this.state = { directory: 'up', since: Date.now() }
    this.parts.timers.cancel(this.outage)
    this.holdings.verifyAll(!forgotten)
  }

  down(error: Error): void {
    if (this.state.directory === 'down') return
    this.state = { directory: 'down', since: Date.now() }
    this.warn({ err: error }, 'The directory of clients is away. Open streams go on.')
    const { maxDirectoryOutage } = this.parts.settings
    if (maxDirectoryOutage === 0) return
    this.outage = this.parts.timers.after(maxDirectoryOutage, () => {
      for (const holding of this.holdings.all) {
        this.holdings.drop(holding)
        this.parts.clients.dismiss(holding.client, 'released', false)
      }
    })
  }

  lapsed(): void {
    for (const holding of this.holdings.all) {
      const { client } = holding
      holding.doubted = client.suspended = true
      client.cursor = client.position
      client.live = false
    }
    this.parts.timers.cancel(this.doubt)
    this.doubt = this.parts.timers.after(LONGEST_DOUBT, () => {
      for (const holding of this.holdings.all) this.resume(holding)
    })
  }

  warn(details: object, message: string): void {
    safely(() => this.parts.settings.logger.warn(details, message))
  }

  /** Settles when everything is written that can be. */
  async close(): Promise<void> {
    await this.opened?.catch((error: unknown) => void error)
    await this.holdings.settled()
    await Promise.all(this.ending.values())
    this.holdings.stop()
    await this.directory.close()
  }

  /** Writes that a client of this server gets a stream here. @returns false if it has moved. */
  private async confirm(holding: Holding): Promise<boolean> {
    holding.claims++
    holding.generation++
    try {
      await this.holdings.save(holding)
    } catch (error) {
      // While the engine is away, whoever is here is served here.
      return !(error instanceof MovedError)
    }
    return holding.client.end === undefined
  }

  private async takeOver(id: string, check: OwnerCheck, stream: boolean): Promise<Client> {
    const { settings, clients, delivery } = this.parts
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const { record, stored } = await this.recordOf(id)
      check(record.owner)
      if (this.parts.refusing()) throw new StreamerClosedError()
      if (clients.roster.size >= settings.maxClients) throw new TooManyClientsError()
      // Before anything is changed: without the log, this server could not go on with it.
      await delivery.ready()
      const generation = record.generation + 1
      const ours: ClientRecord = { ...record, server: this.server, connected: stream, generation }
      const entry = { id, owner: record.owner, text: writeRecord(ours) }
      const life = stream ? this.holdings.life : settings.clientTTL
      const revision = await this.directory.put(entry, stored.revision, life)
      if (revision !== undefined) return this.take(record, generation, revision, stream)
    }
    throw new DirectoryUnavailableError(new Error('Others change this record all the time.'))
  }

  /** Builds up here what another server had. From the first moment on, it can be taken away again. */
  private async take(
    record: ClientRecord,
    generation: number,
    revision: Revision,
    stream: boolean,
  ): Promise<Client> {
    const { id, owner, server, topics, rest } = record
    const { clients, subscriptions } = this.parts
    const client = clients.make(id, owner, false)
    client.handover = (record.connected ? undefined : record.position) ?? UNKNOWN_POSITION
    const holding = this.hold(client, generation, revision, rest)
    if (stream) holding.claims = 1
    const restored = [...topics].map(([name, since]) => subscriptions.restore(client, name, since))
    holding.ready = Promise.all([this.askToRelease(holding, server, stream), ...restored]).then(
      ([position]) => {
        client.handover = position ?? client.handover
      },
    )
    await holding.ready
    return client
  }

  private hold(client: Client, generation: number, revision: Revision, rest = {}): Holding {
    const holding = new Holding(client, generation, rest)
    holding.revision = revision
    this.holdings.add(holding)
    return holding
  }

  /** Has another server let go. @returns where the client stood there, if it answers. */
  private async askToRelease(
    { client, generation }: Holding,
    server: string,
    stream = client.connected,
  ): Promise<string | undefined> {
    if (server === this.server) return undefined
    const question = writeQuestion({ ask: 'release', id: client.id, generation, stream })
    const { takeoverTimeout } = this.parts.settings
    try {
      const outcome = await this.directory.ask(server, question, takeoverTimeout)
      if (typeof outcome === 'string') return undefined
      const answer = readAnswer(outcome.answer)
      if (answer.is !== 'done') return undefined
      return (answer.value as { position: string } | undefined)?.position
    } catch (error) {
      // It finds out by itself, when its own write is refused.
      this.warn({ err: error, server }, 'A server could not be told that its client has moved.')
      return undefined
    }
  }

  private resume({ client }: Holding): void {
    if (!client.suspended) return
    client.suspended = false
    this.parts.delivery.catchUp(client)
  }
}
