import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ClientCommands, FoundClient, Health, Presence, Removal } from './service/commands.js'
import type { Client } from './delivery/client.js'
import { BrokerWatch, takeDriver } from './service/broker-watch.js'
import type { ClientOptions } from './service/clients.js'
import { CLIENT_OPTIONS, Clients } from './service/clients.js'
import { Cluster } from './cluster/cluster.js'
import { ClusterCommands } from './cluster/cluster-commands.js'
import { Timers } from './clock.js'
import type { DeliveryParts } from './delivery/delivery.js'
import { Delivery } from './delivery/delivery.js'
import { LogDelivery } from './delivery/log/delivery.js'
import type { Driver } from './driver.js'
import { ClientExistsError, OptionsError, StreamerClosedError, UnifrostError } from './errors.js'
import { answerOf, safely } from './callbacks.js'
import { SafeEmitter } from './service/events.js'
import { networkOf } from './http/address.js'
import type { Door } from './http/door.js'
import { DOOR } from './http/door.js'
import { sendError } from './http/error-response.js'
import type { AnyRequest } from './http/request.js'
import type { HandleOptions } from './http/stream.js'
import { admit, checkHandleOptions, checkPair, serve } from './http/stream.js'
import { LocalCommands } from './service/local-commands.js'
import { checkClientId, checkTopicName, checkTopicNames, isClientId } from './service/names.js'
import { ownerNamed } from './service/owner.js'
import { checkOptions, number } from './option-checks.js'
import type { Revocable, RevokeOptions } from './service/revocations.js'
import { revocationFrom } from './service/revocations.js'
import type { Settings, StreamerOptions } from './options.js'
import { settingsFrom } from './options.js'
import type { Log } from './log.js'
import { logOf } from './log.js'
import type { AnyResponse } from './http/response-outlet.js'
import type { Stats } from './service/stats.js'
import { noCounts } from './service/stats.js'
import type { SubscribeOptions } from './service/subscriptions.js'
import { checkSubscribeOptions, Subscriptions } from './service/subscriptions.js'
import { Turnstile } from './service/turnstile.js'

/**
 * Sends the topics of one broker to clients over Server-Sent Events.
 *
 * A client gets every message of the topics that it is subscribed to, in order and exactly once,
 * also across reconnects that each come within `clientTTL`. Where messages are missing, it gets
 * `messages-lost` in their place.
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
  private readonly broker: BrokerWatch
  private refusing = false
  private closing: Promise<void> | undefined

  /** @internal How `handle` and the middleware open the stream of a request. */
  readonly [DOOR]: Door

  /** @throws OptionsError if an option is unknown or has a value that it does not take. */
  constructor(
    /** The driver that this Streamer was made with. */
    readonly driver: Driver,
    options: StreamerOptions = {},
  ) {
    const settings = settingsFrom(options)
    super(settings.logger)
    if (typeof (Object(driver) as Partial<Driver>).subscribe !== 'function') {
      throw new OptionsError('A Streamer takes a driver first, such as memoryDriver().')
    }
    takeDriver(driver)
    this.settings = settings
    settings.random = this.soundRandom(settings.random)
    this.broker = new BrokerWatch(driver, {
      down: (outage) => {
        queueMicrotask(() => this.emit('brokerDown', outage))
        this.warn(outage, 'The broker can not be reached. The driver keeps trying.')
      },
      up: (outage) => {
        queueMicrotask(() => this.emit('brokerUp', outage))
        const details = { ...outage, duration: Date.now() - outage.since }
        safely(() => settings.logger.info(details, 'The broker is reached again.'))
      },
    })
    const log = logOf(driver)
    this.timers = new Timers(settings.clock)
    const parts: DeliveryParts = {
      bounds: settings.history,
      timers: this.timers,
      encoding: driver.encoding ?? 'utf8',
      maxMessageBytes: settings.maxMessageBytes,
      infoEvent: settings.infoEvent,
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
        gap: (topic, reason) => queueMicrotask(() => this.emit('gap', topic, reason)),
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
      attach: (client, outlet, arrival) => {
        const address = networkOf(arrival.address, settings.ipv6Prefix)
        this.clients.attach(client, outlet, { ...arrival, address })
      },
      abandon: (client) => this.clients.abandon(client),
      takeSeat: (id, owner, address) =>
        this.clients.takeSeat(id, owner, networkOf(address, settings.ipv6Prefix)),
      checkRevoked: (logIn) => this.clients.revocations.check(logIn),
      noteLogIn: (client, logIn) => this.clients.revocations.note(client, logIn),
      checkTopics: (names) => checkTopicNames(names, settings),
      authorizing: new Turnstile(settings.maxAuthorizeCalls, this.timers),
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
   * Waits for the directory's first connection; without a directory it resolves at once. A Streamer
   * connects also without this call. Call it to learn at start that the directory can't be reached.
   *
   * @throws the directory's error if the first attempt fails. The directory keeps trying.
   */
  async open(): Promise<void> {
    await this.cluster?.open()
  }

  /** This server's health, for a load balancer's check. */
  health(): Health {
    const { health } = this.broker
    const state = this.cluster?.state
    const ok = !this.refusing && state?.directory !== 'down' && health.broker !== 'down'
    const changes = [health.since, state?.since].filter((since) => since !== undefined)
    return { ok, ...health, ...state, ...(changes.length > 0 && { since: Math.max(...changes) }) }
  }

  /** The number of this server's clients, connected or not. */
  get totalClients(): number {
    return this.clients.index.size
  }

  /** How long a client lives without a connection, in milliseconds: the option `clientTTL`. */
  get clientTTL(): number {
    return this.settings.clientTTL
  }

  /** The client with this id, or undefined if it is not on this server. */
  getClient(id: string): Client | undefined {
    checkIdsType(id)
    return this.clients.index.get(id)
  }

  /**
   * The client with this id, on any server, or undefined.
   *
   * @throws DirectoryUnavailableError
   */
  async findClient(id: string): Promise<FoundClient | undefined> {
    checkIdsType(id)
    return this.commands.find(id)
  }

  /**
   * Counts the clients of all servers. Each server counts when it is asked, so a client that moves
   * meanwhile may be counted twice or not at all.
   *
   * @throws DirectoryUnavailableError
   */
  async totals(): Promise<Presence> {
    return this.commands.count({})
  }

  /** Counts one topic's clients, on all servers. See {@link totals}. */
  async clientsOf(topic: string): Promise<Presence> {
    this.checkTopicName(topic)
    return this.commands.count({ topic })
  }

  /**
   * Counts one owner's clients, on all servers. See {@link totals}.
   *
   * @param owner Text, a number, or a principal with `sub` or `id`.
   */
  async clientsOfOwner(owner: OwnerName): Promise<Presence> {
    return this.commands.count({ owner: ownerNamed('clientsOfOwner', owner) })
  }

  /**
   * Makes a client with a random id.
   *
   * @throws OptionsError, CallbackError, TooManyClientsError, StreamerClosedError
   */
  async newClient(options: ClientOptions = {}): Promise<Client> {
    const id = answerOf('newId', () => this.settings.newId(), isClientId, 'a text that is an id')
    return this.make('newClient', id, options)
  }

  /**
   * Makes a client with an id of your own. An id gives access to its client, so make it hard to
   * guess or give the client an `owner`.
   *
   * @throws ClientExistsError if there is a client with this id; ClientIdError, OptionsError,
   *   TooManyClientsError, StreamerClosedError; LogUnavailableError if the driver has a log that
   *   can't be opened.
   */
  async newCustomClient(id: string, options: ClientOptions = {}): Promise<Client> {
    return this.make('newCustomClient', id, options)
  }

  /**
   * Removes a client, on any server. It gets `Client closed`, and its stream ends. It answers within
   * `takeoverTimeout`: `pending` names what does not answer, where the client is ended later.
   *
   * @throws NoClientError; DirectoryUnavailableError if the client is not on this server, and the
   *   `directory` does not answer.
   */
  async removeClient(id: string): Promise<Removal> {
    checkIdsType(id)
    const removal = await this.commands.remove(id)
    // By then the goodbyes have been handed to the operating system.
    await nextTurn()
    return removal
  }

  /**
   * Removes an owner's clients on all servers, or the client with this id, and ends their streams at
   * once: for a user who was locked out, or a token that was withdrawn. `revoke({ session })` ends
   * the streams of one log-in, as the option `session` of the middleware names it.
   *
   * Requests of who was revoked get 401 for the time of `for`, unless their token was issued later
   * (`iat`). Otherwise automatic clients would be back in a few seconds. An example of a log-out:
   *
   * ```ts
   * await streamer.revoke({ session: req.user.sid })
   * ```
   *
   * It answers within `takeoverTimeout`. What can't be reached is named in `pending`, and is done
   * when it is back.
   *
   * @param who An owner's name or a client's id, a principal with `sub` or `id`, or `{ session }`.
   * @throws OptionsError, and nothing else.
   */
  async revoke(who: Revocable, options: RevokeOptions = {}): Promise<Removal> {
    const removal = await this.commands.revoke(revocationFrom(who, options))
    await nextTurn()
    return removal
  }

  /**
   * Subscribes a client to a topic. The client gets all messages that are published after this has
   * resolved. For a client that is already subscribed, it does nothing.
   *
   * @throws NoClientError, TopicNameError, TooManyTopicsError, StreamerClosedError;
   *   SubscribeError if the driver can't open the topic. The client is then unchanged, and you may
   *   try again.
   */
  async subscribe(id: string, topic: string, options: SubscribeOptions = {}): Promise<void> {
    checkIdsType(id)
    checkSubscribeOptions(options)
    if (this.refusing) throw new StreamerClosedError()
    await this.commands.subscribe(id, topic, options)
  }

  /**
   * Ends a client's subscription. The client gets nothing of the topic after that. For a client
   * that is not subscribed, it does nothing. It cancels a `subscribe` that is still pending.
   *
   * @throws NoClientError, TopicNameError
   */
  async unsubscribe(id: string, topic: string): Promise<void> {
    checkIdsType(id)
    this.checkTopicName(topic)
    await this.commands.unsubscribe(id, topic)
  }

  /**
   * Answers a request of `node:http` or `node:http2` with a client's stream, or with an error in
   * JSON.
   *
   * @throws OptionsError only for what is not Node's request and response.
   */
  async handle(
    request: AnyRequest,
    response: AnyResponse,
    options: HandleOptions = {},
  ): Promise<void> {
    checkPair(request, response)
    try {
      checkHandleOptions(options)
      const client = await admit(this[DOOR], request, response, options)
      serve(this[DOOR], client, request, response, options)
    } catch (error) {
      if (!(error instanceof UnifrostError)) this.report(error, 'A request failed.')
      sendError(response, error)
    }
  }

  /** Counts of what there is now, and of what has happened since the Streamer was made. */
  stats(): Stats {
    const { frames, bytes, evictions } = this.delivery.history
    const { stalls } = this.clients.connections
    return {
      ...structuredClone(this.counts),
      clients: this.clients.index.size,
      connections: this.clients.connections.open.size,
      topics: this.subscriptions.openTopics,
      history: { frames, bytes, evictions },
      stalled: { connections: stalls.size, bytes: stalls.bytes },
      sent: this.delivery.sent,
    }
  }

  /**
   * Ends the streams one by one over a period, then closes, so that not all browsers reconnect at
   * once. Each browser is told to wait for the rest of the period, up to a further period at
   * random, and a `retry` time. An example: with `over` 10,000 and a `retry` of 2,000, the browser
   * of a stream that ends after 4,000 waits 8,000 to 18,000.
   *
   * Meanwhile the Streamer takes no new clients and subscriptions. A client gets its messages until
   * its stream ends. A client that was disconnected and comes back gets them until the period is
   * over.
   *
   * @param options.over The period, in milliseconds. Default: 0, all at once.
   */
  async drain(options: { over?: number } = {}): Promise<void> {
    checkOptions('drain', options, { over: number(0, Number.MAX_SAFE_INTEGER) })
    const { over = 0 } = options
    this.refusing = true
    await this.clients.drain(over, (client, wait) => this.sendAway(client, over - wait, over))
    await this.close()
  }

  /**
   * Sends `Client closed` to all clients, ends their streams, closes all topics and closes the
   * driver. Settles when all that is done. A connection that does not read is cut off after five
   * seconds. A second call returns the first one's promise.
   *
   * @throws the error that the driver's `close` rejects with.
   */
  close(): Promise<void> {
    this.closing ??= this.shutDown()
    return this.closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @throws TopicNameError if `name` can't be a topic's. */
  checkTopicName(name: unknown): asserts name is string {
    checkTopicName(name, this.settings.maxTopicLength, this.settings.infoEvent)
  }

  private async make(caller: string, id: string, options: ClientOptions): Promise<Client> {
    checkOptions(caller, options, CLIENT_OPTIONS)
    const owner = options.owner === false ? undefined : options.owner
    const opening = this.delivery.ready()
    if (opening !== undefined) await opening
    if (this.refusing) throw new StreamerClosedError()
    checkClientId(id)
    const { index } = this.clients
    if (index.get(id) !== undefined) throw new ClientExistsError()
    const address = networkOf(options.address, this.settings.ipv6Prefix)
    const place = this.clients.reserve({ owner, address })
    try {
      if (options.transient) return this.clients.make(id, { owner, transient: true }, place)
      return await this.commands.create(id, owner, place)
    } catch (error) {
      place.leave()
      throw error
    }
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
    // No `await` without a cluster: all clients get `Client closed` in this turn of the event loop.
    if (this.cluster !== undefined) await this.cluster.releaseAll()
    await this.clients.close()
    this.delivery.stop()
    await this.subscriptions.close()
    await this.cluster?.close()
    this.timers.stop()
    this.broker.stop()
    await this.driver.close()
  }

  private lost(client: Client, topic: string): void {
    this.counts.messagesLost++
    // This is called in the middle of a write, and a listener may publish.
    queueMicrotask(() => this.emit('messagesLost', client, topic))
  }

  private sendAway(client: Client, remaining: number, spread: number): void {
    // With a cluster the client may reconnect to another server at once.
    if (this.cluster !== undefined) void this.cluster.release(client)
    else this.clients.sendAway(client, remaining, spread)
  }

  /** Keeps a `random` of the application's from doing harm. What it does wrong is reported once. */
  private soundRandom(random: () => number): () => number {
    let reported = false
    const fits = (value: unknown) => typeof value === 'number' && value >= 0 && value <= 1
    return () => {
      try {
        return answerOf('random', random, fits, 'a number from 0 to 1')
      } catch (error) {
        if (!reported) this.report(error, 'The option random failed; Math.random takes its place.')
        reported = true
        return Math.random()
      }
    }
  }

  private warn(details: object, message: string): void {
    safely(() => this.settings.logger.warn(details, message))
  }

  private report(cause: unknown, message: string): void {
    this.emit('error', new Error(message, { cause }))
    safely(() => this.settings.logger.error({ err: cause }, message))
  }
}

/** Who owns clients: the name, or the principal that it is taken from, by its `sub` or `id`. */
export type OwnerName = string | number | bigint | { sub: unknown } | { id: unknown }

/** @throws ClientIdError for an id that is no text, and so no client's. */
function checkIdsType(id: unknown): void {
  if (typeof id !== 'string') checkClientId(id)
}
