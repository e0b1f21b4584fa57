import type { Calls, FoundClient, Health, Presence } from './calls.js'
import type { Client } from './client.js'
import type { Arrival } from './clients.js'
import { Clients } from './clients.js'
import { Cluster } from './cluster.js'
import { ClusterCalls } from './cluster-calls.js'
import { Timers } from './clock.js'
import type { Outlet } from './connection.js'
import { Delivery } from './delivery.js'
import type { Driver } from './driver.js'
import {
  ClientExistsError,
  OptionsError,
  StreamerClosedError,
  TooManyClientsError,
  UnifrostError,
} from './errors.js'
import { SafeEmitter, safely } from './events.js'
import type { AnyRequest, HandleOptions } from './handle.js'
import { admit, sendError, serve } from './handle.js'
import { LocalCalls } from './local-calls.js'
import { checkClientId, checkTopicName } from './names.js'
import { Numbering } from './numbering.js'
import type { Settings, StreamerOptions } from './options.js'
import { settingsFrom } from './options.js'
import type { AnyResponse } from './response-outlet.js'
import type { Stats } from './stats.js'
import { noCounts } from './stats.js'
import type { SubscribeOptions } from './subscriptions.js'
import { Subscriptions } from './subscriptions.js'

/** What a new client may be given. */
export interface ClientOptions {
  /** Who it belongs to. Over HTTP, nobody else may connect to it, change or remove it. */
  owner?: string | undefined
  /**
   * Whether it goes as soon as its connection ends, because its request says all that is needed
   * to make it anew; its topics are then held open for `clientTTL`. Default: false.
   */
  transient?: boolean
}

/**
 * Carries the topics of one broker to clients over Server-Sent Events.
 *
 * Every message that reaches a topic while a client is subscribed to it reaches that client in
 * order and exactly once, across any number of reconnects inside `clientTTL`, or the client gets
 * a `messages-lost` message in the place where something is missing.
 */
export class Streamer extends SafeEmitter implements AsyncDisposable {
  private readonly settings: Settings
  private readonly counts = noCounts()
  private readonly timers: Timers
  private readonly delivery: Delivery
  private readonly subscriptions: Subscriptions
  private readonly clients: Clients
  private readonly cluster: Cluster | undefined
  private readonly calls: Calls
  private refusing = false
  private closing: Promise<void> | undefined

  /** @throws OptionsError when an option is unknown or has a value that it does not take. */
  constructor(
    /** The driver that it was given. */
    readonly driver: Driver,
    options: StreamerOptions = {},
  ) {
    const settings = settingsFrom(options)
    super(settings.logger)
    if (typeof (driver as Partial<Driver> | undefined)?.subscribe !== 'function') {
      throw new OptionsError('A Streamer takes a driver first, such as memoryDriver().')
    }
    this.settings = settings
    this.timers = new Timers(settings.clock)
    this.delivery = new Delivery(
      new Numbering(driver.log),
      settings.history,
      this.timers,
      driver.encoding ?? 'utf8',
      {
        lost: (client, topic) => this.lost(client, topic),
        resumed: (resume) => void this.counts.resumes[resume]++,
        refillFailed: (error) => this.report(error, "The driver's log could not be read."),
      },
    )
    if (driver.log) {
      driver.log.onRestart = () => this.subscriptions.restart(this.clients.roster.all())
    }
    this.subscriptions = new Subscriptions(
      driver,
      settings,
      this.timers,
      this.delivery,
      this.counts,
      {
        opened: (topic) => this.emit('topicOpened', topic),
        closed: (topic) => this.emit('topicClosed', topic),
        report: (cause, message) => this.report(cause, message),
        warn: (details, message) => safely(() => settings.logger.warn(details, message)),
      },
    )
    this.clients = new Clients(
      settings,
      this.timers,
      this.delivery,
      this.subscriptions,
      this.counts,
      {
        emit: (event, ...details) => this.emit(event, ...details),
        removeClient: (id) => this.removeClient(id),
        changed: (client, opened) => this.cluster?.changed(client, opened),
        ended: (client) => void this.cluster?.ended(client),
        others: settings.directory !== undefined,
      },
    )
    if (settings.directory === undefined) {
      this.calls = new LocalCalls(this.clients, this.subscriptions)
      return
    }
    this.cluster = new Cluster(settings.directory, {
      settings,
      timers: this.timers,
      clients: this.clients,
      subscriptions: this.subscriptions,
      delivery: this.delivery,
      refusing: () => this.refusing,
      report: (cause, message) => this.report(cause, message),
    })
    this.calls = new ClusterCalls(this.cluster)
    this.cluster.open().catch((error: unknown) => {
      if (!this.refusing) this.report(error, 'The directory of clients could not be opened.')
    })
  }

  /**
   * Settles when the directory is there, where there is one. It is connected in any case; this is
   * to find out at start that it can't be.
   *
   * @throws what keeps the directory from opening; it is tried on all the same.
   */
  async open(): Promise<void> {
    await this.cluster?.open()
  }

  /** Whether this server can do all that it is there for. For a load balancer's health check. */
  health(): Health {
    const state = this.cluster?.state
    return { ok: !this.refusing && state?.directory !== 'down', ...state }
  }

  /** How many clients are live, connected or not; with a `directory`, those on this server. */
  get totalClients(): number {
    return this.clients.roster.size
  }

  /** The client's time to live between connections, in milliseconds. */
  get clientTTL(): number {
    return this.settings.clientTTL
  }

  /** The client with this id, or undefined; with a `directory`, only if it is on this server. */
  getClient(id: string): Client | undefined {
    return this.clients.roster.get(id)
  }

  /**
   * The client with this id, on whichever server it is, or undefined.
   *
   * @throws DirectoryUnavailableError
   */
  async findClient(id: string): Promise<FoundClient | undefined> {
    return this.calls.find(id)
  }

  /**
   * How many clients there are, over all servers. Each says what it has at the moment when it is
   * asked: a client that moves meanwhile may be counted twice or not at all.
   *
   * @throws DirectoryUnavailableError
   */
  async totals(): Promise<Presence> {
    return this.calls.count({})
  }

  /** The same of one topic's clients. */
  async clientsOf(topic: string): Promise<Presence> {
    return this.calls.count({ topic })
  }

  /** The same of one owner's clients. */
  async clientsOfOwner(owner: string): Promise<Presence> {
    return this.calls.count({ owner })
  }

  /**
   * Makes a client with a random id.
   *
   * @throws TooManyClientsError, StreamerClosedError
   */
  async newClient(options: ClientOptions = {}): Promise<Client> {
    return this.newCustomClient(this.settings.newId(), options)
  }

  /**
   * Makes a client with an id of your own: at least as hard to guess as what it gives access to,
   * or with an `owner`.
   *
   * @throws ClientExistsError when a client with this id is live; ClientIdError,
   *   TooManyClientsError, StreamerClosedError; LogUnavailableError when the driver has a log and
   *   it can't be opened.
   */
  async newCustomClient(id: string, options: ClientOptions = {}): Promise<Client> {
    const opening = this.delivery.ready()
    if (opening !== undefined) await opening
    if (this.refusing) throw new StreamerClosedError()
    checkClientId(id)
    const { roster } = this.clients
    if (roster.get(id) !== undefined) throw new ClientExistsError()
    if (roster.size >= this.settings.maxClients) throw new TooManyClientsError()
    if (options.transient) return this.clients.make(id, options.owner, true)
    return this.calls.create(id, options.owner)
  }

  /**
   * Removes a client: it is told `Client closed`, and its stream ends.
   *
   * @throws NoClientError; with a `directory` DirectoryUnavailableError, ServerSilentError.
   */
  async removeClient(id: string): Promise<void> {
    await this.calls.remove(id)
  }

  /**
   * Ends the streams of an owner's clients, or of the client with this id, now, and removes them:
   * for a user who has been locked out, or a token that was taken back. Whoever comes with such
   * an id gets 401.
   *
   * @returns how many clients that were.
   */
  async revoke(ownerOrId: string): Promise<number> {
    return this.calls.revoke(ownerOrId)
  }

  /**
   * Subscribes a client to a topic. When it resolves, messages published after that arrive.
   * A client that is already subscribed stays as it is.
   *
   * @throws NoClientError, TopicNameError, TooManyTopicsError, StreamerClosedError;
   *   SubscribeError when the broker does not open the topic. The client is as it was then, and
   *   the topic may be tried again.
   */
  async subscribe(id: string, topic: string, options: SubscribeOptions = {}): Promise<void> {
    if (this.refusing) throw new StreamerClosedError()
    await this.calls.subscribe(id, topic, options)
  }

  /**
   * Ends a client's subscription; nothing of the topic is sent to it after that. A client that
   * is not subscribed stays as it is. It wins over a `subscribe` that is still pending.
   *
   * @throws NoClientError
   */
  async unsubscribe(id: string, topic: string): Promise<void> {
    await this.calls.unsubscribe(id, topic)
  }

  /**
   * Answers a request of `node:http` or `node:http2` with a client's stream, or with an error as
   * JSON. Never rejects.
   */
  async handle(
    request: AnyRequest,
    response: AnyResponse,
    options: HandleOptions = {},
  ): Promise<void> {
    try {
      const admitted = admit(this, request, options)
      const client = admitted instanceof Promise ? await admitted : admitted
      serve(this, client, request, response, options)
    } catch (error) {
      if (!(error instanceof UnifrostError)) this.report(error, 'A request failed.')
      sendError(response, error)
    }
  }

  /** The state of things, and what has happened so far. */
  stats(): Stats {
    const { frames, bytes, evictions } = this.delivery.history
    return {
      ...structuredClone(this.counts),
      clients: this.clients.roster.size,
      connections: this.clients.keeper.connections.size,
      topics: this.subscriptions.openTopics,
      history: { frames, bytes, evictions },
      sent: this.delivery.sent,
    }
  }

  /**
   * Closes with the goodbyes spread over a time, so that all browsers do not come back at once:
   * each is told to wait until the time is over and a while more. New clients and subscriptions
   * are refused meanwhile; clients that are there get their messages until their turn comes, or,
   * if they reconnect, until the time is over.
   *
   * @param options.over How long it may take, in milliseconds. Default: 0, at once.
   */
  async drain({ over = 0 }: { over?: number } = {}): Promise<void> {
    if (!(over >= 0 && over < Infinity)) {
      throw new OptionsError(`drain's over takes milliseconds from 0; it got ${String(over)}.`)
    }
    this.refusing = true
    await this.clients.drain(over, (client, wait) => this.sendAway(client, over - wait, over))
    await this.close()
  }

  /**
   * Tells everybody `Client closed`, ends the responses, lets all topics go and closes the driver.
   * Settles when all that is done; a peer that does not read is cut off after five seconds.
   * Calling it again waits for the same.
   *
   * @throws what the driver's own `close` rejects with.
   */
  close(): Promise<void> {
    this.closing ??= this.shutDown()
    return this.closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @throws TopicNameError when `name` can't be a topic here. */
  checkTopicName(name: unknown): asserts name is string {
    checkTopicName(name, this.settings.maxTopicLength)
  }

  /**
   * @internal
   * @param client Whose stream it is to be, or undefined for one that is not made yet.
   * @throws TooManyConnectionsError when a further stream would be over a limit.
   */
  checkRoom(client: Client | undefined, owner: string | undefined, address?: string): void {
    const owned = owner === undefined ? [] : this.clients.roster.of(owner)
    this.clients.keeper.checkRoom(client, owned, address)
  }

  /** @internal Opens a client's stream. */
  attach(client: Client, outlet: Outlet, arrival: Arrival): void {
    this.clients.attach(client, outlet, arrival)
  }

  /**
   * @internal Has a client of another server come to this one for its stream, which `attach` or
   * `abandon` follows. Without a directory there is no such client.
   *
   * @param check Throws where who asks may not have a client of this owner.
   */
  claim(id: string, check: (owner: string | undefined) => void): Client | Promise<Client> {
    return this.calls.claim(id, check)
  }

  /** @internal A client that was made or claimed for a request which got no stream. */
  abandon(client: Client): void {
    if (client.transient && !client.connected) this.clients.remove(client, 'left')
    this.cluster?.changed(client, true)
  }

  private async shutDown(): Promise<void> {
    this.refusing = true
    // Without a cluster everybody is told at once, in the same turn.
    if (this.cluster !== undefined) await this.cluster.releaseAll()
    await this.clients.close()
    this.delivery.stop()
    await this.subscriptions.close()
    await this.cluster?.close()
    this.timers.stop()
    await this.driver.close()
  }

  private lost(client: Client, topic: string): void {
    this.counts.messagesLost++
    // Later, since a listener may publish, and this is the middle of a write.
    queueMicrotask(() => this.emit('messagesLost', client, topic))
  }

  private sendAway(client: Client, remaining: number, spread: number): void {
    // Others are there, to which it may come at once.
    if (this.cluster !== undefined) void this.cluster.release(client)
    else this.clients.sendAway(client, remaining, spread)
  }

  private report(cause: unknown, message: string): void {
    this.emit('error', new Error(message, { cause }))
    safely(() => this.settings.logger.error({ err: cause }, message))
  }
}
