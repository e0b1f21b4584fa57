import type { ClientCommands, FoundClient, Health, Presence } from './service/commands.js'
import type { Client } from './delivery/client.js'
import type { ClientOptions } from './service/clients.js'
import { Clients } from './service/clients.js'
import { Cluster } from './cluster/cluster.js'
import { ClusterCommands } from './cluster/cluster-commands.js'
import { Timers } from './clock.js'
import type { DeliveryParts } from './delivery/delivery.js'
import { Delivery } from './delivery/delivery.js'
import { LogDelivery } from './delivery/log/delivery.js'
import type { Driver } from './driver.js'
import {
  ClientExistsError,
  OptionsError,
  StreamerClosedError,
  TooManyClientsError,
  UnifrostError,
} from './errors.js'
import { SafeEmitter, safely } from './service/events.js'
import type { Door } from './http/door.js'
import { DOOR } from './http/door.js'
import { sendError } from './http/error-response.js'
import type { AnyRequest } from './http/request.js'
import type { HandleOptions } from './http/stream.js'
import { admit, serve } from './http/stream.js'
import { LocalCommands } from './service/local-commands.js'
import { checkClientId, checkTopicName } from './service/names.js'
import type { Settings, StreamerOptions } from './options.js'
import { settingsFrom } from './options.js'
import type { Log } from './log.js'
import { logOf } from './log.js'
import type { AnyResponse } from './http/response-outlet.js'
import type { Stats } from './service/stats.js'
import { noCounts } from './service/stats.js'
import type { SubscribeOptions } from './service/subscriptions.js'
import { Subscriptions } from './service/subscriptions.js'

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
  private readonly commands: ClientCommands
  private refusing = false
  private closing: Promise<void> | undefined

  /** @internal What the middleware and `handle` ask for a request's stream. */
  readonly [DOOR]: Door

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
    const log = logOf(driver)
    this.timers = new Timers(settings.clock)
    const parts: DeliveryParts = {
      bounds: settings.history,
      timers: this.timers,
      encoding: driver.encoding ?? 'utf8',
      host: {
        lost: (client, topic) => this.lost(client, topic),
        resumed: (resume) => void this.counts.resumes[resume]++,
        replayFailed: (error) => this.report(error, "The driver's log could not be read."),
      },
    }
    this.delivery = log === undefined ? new Delivery(parts) : this.logDelivery(log, parts)
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
        warn: (details, message) => this.warn(details, message),
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
        claimSettled: (client) => this.cluster?.claimSettled(client),
        streamEnded: (client) => this.cluster?.streamEnded(client),
        ended: (client) => void this.cluster?.ended(client),
        others: settings.directory !== undefined,
      },
    )
    this[DOOR] = {
      claim: (id, check) => this.commands.claim(id, check),
      attach: (client, outlet, arrival) => this.clients.attach(client, outlet, arrival),
      abandon: (client) => this.clients.abandon(client),
      checkRoom: (id, owner, address) => this.clients.checkRoom(id, owner, address),
    }
    if (settings.directory === undefined) {
      this.commands = new LocalCommands(this.clients, this.subscriptions)
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
      warn: (details, message) => this.warn(details, message),
    })
    this.commands = new ClusterCommands(this.cluster)
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
    return this.clients.index.size
  }

  /** The client's time to live between connections, in milliseconds. */
  get clientTTL(): number {
    return this.settings.clientTTL
  }

  /** The client with this id, or undefined; with a `directory`, only if it is on this server. */
  getClient(id: string): Client | undefined {
    return this.clients.index.get(id)
  }

  /**
   * The client with this id, on whichever server it is, or undefined.
   *
   * @throws DirectoryUnavailableError
   */
  async findClient(id: string): Promise<FoundClient | undefined> {
    return this.commands.find(id)
  }

  /**
   * How many clients there are, over all servers. Each says what it has at the moment when it is
   * asked: a client that moves meanwhile may be counted twice or not at all.
   *
   * @throws DirectoryUnavailableError
   */
  async totals(): Promise<Presence> {
    return this.commands.count({})
  }

  /** The same of one topic's clients. */
  async clientsOf(topic: string): Promise<Presence> {
    return this.commands.count({ topic })
  }

  /** The same of one owner's clients. */
  async clientsOfOwner(owner: string): Promise<Presence> {
    return this.commands.count({ owner })
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
    const { index } = this.clients
    if (index.get(id) !== undefined) throw new ClientExistsError()
    if (index.size >= this.settings.maxClients) throw new TooManyClientsError()
    if (options.transient) return this.clients.make(id, options)
    return this.commands.create(id, options.owner)
  }

  /**
   * Removes a client: it is told `Client closed`, and its stream ends.
   *
   * @throws NoClientError; with a `directory` DirectoryUnavailableError, ServerSilentError.
   */
  async removeClient(id: string): Promise<void> {
    await this.commands.remove(id)
  }

  /**
   * Ends the streams of an owner's clients, or of the client with this id, now, and removes them:
   * for a user who has been locked out, or a token that was taken back. Whoever comes with such
   * an id gets 401.
   *
   * @returns how many clients that were.
   */
  async revoke(ownerOrId: string): Promise<number> {
    return this.commands.revoke(ownerOrId)
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
    await this.commands.subscribe(id, topic, options)
  }

  /**
   * Ends a client's subscription; nothing of the topic is sent to it after that. A client that
   * is not subscribed stays as it is. It wins over a `subscribe` that is still pending.
   *
   * @throws NoClientError
   */
  async unsubscribe(id: string, topic: string): Promise<void> {
    await this.commands.unsubscribe(id, topic)
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
      const client = await admit(this[DOOR], request, options)
      serve(this[DOOR], client, request, response, options)
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
      clients: this.clients.index.size,
      connections: this.clients.connections.open.size,
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

  /** The delivery for a driver with a log. */
  private logDelivery(log: Log, parts: DeliveryParts): LogDelivery {
    const delivery = new LogDelivery(log, parts)
    log.onRestart = () =>
      delivery.restart(this.clients.index.all(), this.subscriptions.open, (topic) =>
        this.subscriptions.gapped(topic, "The driver's log was made anew."),
      )
    return delivery
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

  private warn(details: object, message: string): void {
    safely(() => this.settings.logger.warn(details, message))
  }

  private report(cause: unknown, message: string): void {
    this.emit('error', new Error(message, { cause }))
    safely(() => this.settings.logger.error({ err: cause }, message))
  }
}
