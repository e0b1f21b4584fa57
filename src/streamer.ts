import { setImmediate as nextTurn } from 'node:timers/promises'
import { Assembly } from './assembly.js'
import { answerOf } from './callbacks.js'
import type { Client } from './delivery/client.js'
import type { Driver, Published } from './driver.js'
import {
  isExposed,
  OptionsError,
  PublishError,
  StreamerClosedError,
  TopicNameError,
} from './errors.js'
import type { Door } from './http/door.js'
import { DOOR } from './http/door.js'
import { sendError } from './http/error-response.js'
import { sendPassingRefusal } from './http/passing-refusal.js'
import type { AnyRequest } from './http/request.js'
import type { AnyResponse } from './http/response-outlet.js'
import type { ClosableServer, ShutdownOptions } from './http/shutdown.js'
import { checkShutdown, LeavingServers } from './http/shutdown.js'
import type { HandleOptions } from './http/stream.js'
import { admit, checkHandleOptions, checkPair, serve } from './http/stream.js'
import { checkOptions, isRecord, number, refuse } from './option-checks.js'
import type { Limits, Settings, StreamerOptions } from './options.js'
import { LIMIT_OPTIONS, limitsFrom, settingsFrom } from './options.js'
import type { ClientOptions } from './service/clients.js'
import { CLIENT_OPTIONS } from './service/clients.js'
import type { FoundClient, Health, Presence, Removal, Selected } from './service/commands.js'
import { SafeEmitter } from './service/events.js'
import { checkIdsType, checkTopicName, isClientId, transientId } from './service/names.js'
import type { OwnerName } from './service/owner.js'
import { ownerNamed } from './service/owner.js'
import type { Rechecked, Reconnected, WhichClients } from './service/rechecks.js'
import type { Which } from './service/selector.js'
import { selectorFrom, selectorOrAll } from './service/selector.js'
import type { Revocable, RevokeOptions } from './service/revocations.js'
import { revocationFrom } from './service/revocations.js'
import type { Stats } from './service/stats.js'
import type { SubscribeOptions, TopicAfter } from './service/subscriptions.js'
import { checkSubscribeOptions, topicsAfter } from './service/subscriptions.js'

/**
 * Sends the topics of one broker to clients over Server-Sent Events.
 *
 * A client gets every message of the topics that it is subscribed to, in order and exactly once,
 * also across reconnects that each come within `clientTTL`. Where messages are missing, it gets
 * `messages-lost` in their place.
 */
export class Streamer extends SafeEmitter implements AsyncDisposable {
  private readonly settings: Settings
  private readonly parts: Assembly
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
    this.settings = settings
    this.parts = new Assembly(driver, settings, {
      emit: (event, ...details) => this.emit(event, ...details),
      emitAndSettle: (event, client) => this.emitAndSettle(event, client),
      hears: (event) => this.listenerCount(event) > 0,
      removeClient: (id) => this.removeClient(id),
    })
    this[DOOR] = this.parts.door
  }

  /**
   * Waits for the directory's first connection, and for the driver's log; without either it resolves at once. A Streamer
   * connects also without this call. Call it to learn at start that the directory can't be reached.
   *
   * @throws the directory's error if the first attempt fails. The directory keeps trying.
   */
  async open(): Promise<void> {
    await this.parts.cluster?.open()
    await this.parts.delivery.ready()
  }

  /** This server's health, for a load balancer's check. */
  health(): Health {
    return this.parts.health
  }

  /** The number of this server's clients, connected or not. */
  get totalClients(): number {
    return this.parts.clients.index.size
  }

  /** How long a client lives without a connection, in milliseconds: the option `clientTTL`. */
  get clientTTL(): number {
    return this.settings.clientTTL
  }

  /**
   * The position behind everything that has been published so far, as far as this server has heard.
   * Read it **before** the data that a page loads, and answer with both (`setPosition`): a stream that is
   * opened with `?after=`, or a topic that is subscribed `after` it, misses nothing of what came since.
   * Without a log it names this server's own history, and the page's stream must come to this server.
   *
   * @throws LogUnavailableError if the driver has a log that is not open yet: `await open()` at start.
   */
  position(): string {
    return this.parts.subscriptions.position()
  }

  /** The client with this id, or undefined if it is not on this server. */
  getClient(id: string): Client | undefined {
    checkIdsType(id)
    return this.parts.clients.index.get(id)
  }

  /**
   * The client with this id, on any server, or undefined.
   *
   * @throws DirectoryUnavailableError
   */
  async findClient(id: string): Promise<FoundClient | undefined> {
    checkIdsType(id)
    return this.parts.commands.find(id)
  }

  /**
   * The clients that are meant, on all servers: an owner's, those with a label, or all. Those of a server
   * that has died are among an owner's alone, until they come again.
   *
   * @throws ServerSilentError if a server does not answer, DirectoryUnavailableError
   */
  async list(which: WhichClients = {}): Promise<FoundClient[]> {
    return this.parts.commands.list(selectorOrAll('list', which))
  }

  /**
   * Counts the clients of all servers. Each server counts when it is asked, so a client that moves
   * meanwhile may be counted twice or not at all.
   *
   * @throws DirectoryUnavailableError
   */
  async totals(): Promise<Presence> {
    return this.parts.commands.count({})
  }

  /** Counts one topic's clients, on all servers. See {@link totals}. */
  async clientsOf(topic: string): Promise<Presence> {
    this.checkTopicName(topic)
    return this.parts.commands.count({ topic })
  }

  /**
   * Counts one owner's clients, on all servers, and gives their ids. See {@link totals}.
   *
   * @param owner Text, a number, or a principal with `sub` or `id`.
   */
  async clientsOfOwner(owner: OwnerName): Promise<Presence & { ids: string[] }> {
    const presence = await this.parts.commands.count({ owner: ownerNamed('clientsOfOwner', owner) })
    return { ids: [], ...presence }
  }

  /**
   * Makes a client with a random id.
   *
   * @throws OptionsError, CallbackError, TooManyClientsError, StreamerClosedError
   */
  async newClient(options: ClientOptions = {}): Promise<Client> {
    checkOptions('newClient', options, CLIENT_OPTIONS)
    const id = answerOf('newId', () => this.settings.newId(), isClientId, 'a text that is an id')
    return this.parts.make('newClient', options.transient ? transientId(id) : id, options)
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
    return this.parts.make('newCustomClient', id, options)
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
    const removal = await this.parts.commands.remove(id)
    // By then the goodbyes have been handed to the operating system.
    await nextTurn()
    return removal
  }

  /**
   * Removes an owner's clients on all servers, or the client with this id, and ends their streams at
   * once: for a user who was locked out, or a token that was withdrawn. `revoke({ session })` ends
   * the streams of one log-in, as the option `session` of the middleware names it, and
   * `revoke({ tenant: 'acme' })` those of all clients with this label.
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
   * @param who An owner's name or a client's id, a principal with `sub` or `id`, `{ owner }`, or one
   *   label, such as `{ session }`.
   * @throws OptionsError, and nothing else.
   */
  async revoke(who: Revocable, options: RevokeOptions = {}): Promise<Removal> {
    const removal = await this.parts.commands.revoke(revocationFrom(who, options))
    await nextTurn()
    return removal
  }

  /**
   * Subscribes a client to a topic. The client gets all messages that are published after this has
   * resolved. For a client that is already subscribed, it does nothing.
   *
   * A client that goes with its connection, as `autoClient` makes it by default, is subscribed anew
   * with each connection: in a listener of `connect`, where the topic goes on from the position that
   * the connection named.
   *
   * @param topics Names, or `{ topic, after }` for one that begins after a position of its own.
   * @throws NoClientError, TopicNameError, TooManyTopicsError, StreamerClosedError;
   *   TransientClientError if the client goes with its connection and the call does not come from a
   *   listener of its `connect`; SubscribeError if the driver can't open the topic. The client is then unchanged, and you may
   *   try again. Of several topics, the others are subscribed all the same.
   */
  subscribe(
    id: string,
    topics: string | TopicAfter | readonly (string | TopicAfter)[],
    options?: SubscribeOptions,
  ): Promise<void>
  /**
   * Subscribes all clients that are meant, on all servers: an owner's, or those with a label. Clients that
   * come later are not subscribed. An automatic client keeps the topic until its connection ends.
   *
   * ```ts
   * await streamer.subscribe({ tenant: 'acme' }, 'maintenance')
   * ```
   *
   * @returns what was done; for no client, too, if there is none.
   * @throws the first error that a client met, after all others were subscribed.
   */
  subscribe(
    which: Which,
    topics: string | readonly string[],
    options?: SubscribeOptions,
  ): Promise<Selected>
  async subscribe(
    whom: string | Which,
    topics: string | TopicAfter | readonly (string | TopicAfter)[],
    options: SubscribeOptions = {},
  ): Promise<Selected | void> {
    const which = isWhich(whom) ? selectorFrom('subscribe', whom) : idIn(whom)
    checkSubscribeOptions(options)
    const positions = topicsAfter(topics, options)
    const names = this.namesIn([...positions.keys()])
    if (typeof which === 'object') {
      if (names.some((topic) => positions.get(topic) !== options)) {
        throw new OptionsError('subscribe takes { topic, after } for one client, by its id.')
      }
      return this.parts.each(which, { do: 'subscribe', topics: names, options })
    }
    await settleAll(
      names.map((topic) => this.parts.subscribe(which, topic, positions.get(topic) ?? options)),
    )
  }

  /**
   * Ends a client's subscription. The client gets nothing of the topic after that. For a client
   * that is not subscribed, it does nothing. It cancels a `subscribe` that is still pending.
   *
   * @throws NoClientError, TopicNameError
   */
  unsubscribe(id: string, topics: string | readonly string[]): Promise<void>
  /**
   * Unsubscribes all clients that are meant, on all servers, automatic ones too: an owner's, or those
   * with a label. An automatic client whose next request names the topic has it again, if `authorize`
   * allows it.
   *
   * @throws the first error that a client met, after all others were unsubscribed.
   */
  unsubscribe(which: Which, topics: string | readonly string[]): Promise<Selected>
  async unsubscribe(
    whom: string | Which,
    topics: string | readonly string[],
  ): Promise<Selected | void> {
    const which = isWhich(whom) ? selectorFrom('unsubscribe', whom) : idIn(whom)
    const names = this.namesIn(topics)
    if (typeof which === 'object') {
      return this.parts.each(which, { do: 'unsubscribe', topics: names })
    }
    await settleAll(names.map((topic) => this.parts.commands.unsubscribe(which, topic)))
  }

  /**
   * Ends a topic for this server's clients: each gets `{"end":{"topic":…}}` behind all that was
   * published, and is unsubscribed. Who subscribes later gets what `topics` retains and the end. It does
   * not reach the clients of other servers; a last message does, which `topics: [{ match, end }]` names.
   *
   * @returns how many clients were told, connected or not; 0 where the topic has ended before.
   * @throws TopicNameError, StreamerClosedError
   */
  async endTopic(topic: string): Promise<{ clients: number }> {
    return { clients: this.parts.endTopic(topic) }
  }

  /**
   * Publishes a message to a topic through the driver, for the clients of all servers. It resolves when
   * the broker has taken the message; clients get it a little later, as any other message.
   *
   * @returns where the message stands, if the broker numbers messages.
   * @throws OptionsError if the driver only reads; TopicNameError, also for a name that stands for
   *   several topics; StreamerClosedError; PublishError, whose `cause` says what to do. The message may
   *   then have been published all the same.
   */
  async publish(topic: string, payload: string | Uint8Array): Promise<Published> {
    this.checkTopicName(topic)
    if (typeof payload !== 'string' && !(payload instanceof Uint8Array)) {
      refuse('publish', 'payload', payload, 'a text or bytes')
    }
    const { driver } = this
    if (driver.publish === undefined) {
      throw new OptionsError('This driver only reads. Publish with the library of your broker.')
    }
    if ((driver.kindOf?.(topic) ?? 'plain') !== 'plain') {
      throw new TopicNameError("This name stands for several topics, or is the broker's own.")
    }
    if (this.closing !== undefined) throw new StreamerClosedError()
    try {
      const { position } = Object(await driver.publish(topic, payload)) as Published
      return typeof position === 'string' ? { position } : {}
    } catch (error) {
      throw new PublishError(topic, error)
    }
  }

  /**
   * Looks again at the topics of clients, on all servers (an owner's, those with a label, or all): for a user whose
   * rights have changed. What `authorize` does not allow any more is taken from the client, which gets
   * `forbidden-topic` in its place; its stream and its other topics stay. A client that is away is
   * looked at too, if its last stream was on a server that is there; in any case when it comes again.
   *
   * @returns what was done. `pending` names the servers that did not answer within `takeoverTimeout`.
   * @throws CallbackError if `authorize` failed for a client, after all others were looked at. Topics
   *   for which it failed stay. DirectoryUnavailableError; this server's clients are done by then.
   */
  async recheck(which: WhichClients = {}): Promise<Rechecked> {
    return this.parts.rightsCommands.recheck(selectorOrAll('recheck', which))
  }

  /**
   * Ends the streams of clients, on all servers (an owner's, those with a label, or all), so that their pages come
   * again after a `retry` time: for who wants rights, or the `topics` of `autoClient`, computed anew.
   * The clients stay and miss nothing. Who is to stay away is for `revoke`.
   *
   * @throws DirectoryUnavailableError; this server's streams are done by then.
   */
  async reconnect(which: WhichClients = {}): Promise<Reconnected> {
    return this.parts.rightsCommands.reconnect(selectorOrAll('reconnect', which))
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
    checkPair('handle', request, response)
    try {
      checkHandleOptions(options)
      const client = await admit(this[DOOR], request, response, options)
      serve(this[DOOR], client, request, response, options)
    } catch (error) {
      // The answer does not say what was wrong, so the application is told.
      if (!isExposed(error)) this[DOOR].failed(error)
      if (!sendPassingRefusal(this[DOOR], request, response, error)) sendError(response, error)
    }
  }

  /**
   * Changes the limits of clients, streams and topics. Those that are left out have their defaults again.
   * What is there stays, also where it is more than the new limits allow; the next request is refused.
   *
   * @throws OptionsError
   */
  setLimits(limits: Limits): void {
    checkOptions('setLimits', limits, LIMIT_OPTIONS)
    Object.assign(this.settings, limitsFrom(limits))
  }

  /** Counts of what there is now, and of what has happened since the Streamer was made. */
  stats(): Stats {
    return this.parts.stats()
  }

  /**
   * Ends the streams one by one over a period, in a random order, then closes. The period spreads
   * the browsers over the other servers, so each is told to come back after 100 to 500 milliseconds
   * (or after `retry`, where that is less), and its user notices nothing. An example: with 1,000
   * streams and `over` 5,000, the other servers get 200 browsers in each second.
   *
   * Meanwhile requests for streams are served, since a load balancer may send a browser here once
   * more; such a stream lasts until the end of the period. Other new clients are refused. Without a
   * period all streams end at once, and browsers wait for their usual `retry`.
   *
   * @param options.over The period, in milliseconds. Default: 0, all at once.
   */
  async drain(options: { over?: number } = {}): Promise<void> {
    checkOptions('drain', options, { over: number(0, Number.MAX_SAFE_INTEGER) })
    const { over = 0 } = options
    await this.parts.drain(over)
    await this.close()
  }

  /**
   * Takes this process out of service: has the server accept no more connections, drains, closes,
   * and waits until all connections of the server have ended. It may be called whether or not
   * `server.close()`, `drain` or `close` have been called. An example, for all that listens:
   *
   * ```ts
   * process.once('SIGTERM', () => streamer.shutdown(server, { over: 5_000 }))
   * ```
   *
   * It settles `over` and at most five seconds later, or `timeout` where that is longer.
   *
   * @param server A server of Node's, or several: what `app.listen` of Express and Koa returns,
   *   `app.server` of Fastify, `app.getHttpServer()` of Nest.
   * @throws OptionsError, and the error that the driver's `close` rejects with.
   */
  async shutdown(
    server: ClosableServer | readonly ClosableServer[],
    options: ShutdownOptions = {},
  ): Promise<void> {
    const servers = checkShutdown(server, options)
    const { over = 0, timeout = 5_000 } = options
    const leaving = new LeavingServers(servers, this[DOOR])
    try {
      await this.drain({ over })
    } finally {
      await leaving.gone((this.parts.goodbyeAt ?? performance.now()) + timeout)
    }
  }

  /**
   * Sends `Client closed` to all clients, ends their streams, closes all topics and closes the
   * driver. Settles when all that is done. A connection that does not read is cut off after five
   * seconds. A second call returns the first one's promise.
   *
   * @throws the error that the driver's `close` rejects with.
   */
  close(): Promise<void> {
    this.closing ??= this.parts.close()
    return this.closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private namesIn(topics: unknown): string[] {
    const names: unknown[] = Array.isArray(topics) ? topics : [topics]
    for (const name of names) this.checkTopicName(name)
    return [...new Set(names as string[])]
  }

  /** @throws TopicNameError if `name` can't be a topic's. */
  checkTopicName(name: unknown): asserts name is string {
    checkTopicName(name, this.settings.maxTopicLength, this.settings.infoEvent)
  }
}

function isWhich(whom: unknown): whom is Which {
  return isRecord(whom) && Object.keys(whom).length > 0
}

/** @throws ClientIdError for what is no text. */
function idIn(id: string): string {
  checkIdsType(id)
  return id
}

/** Waits for all, and throws the first error. */
async function settleAll(work: readonly Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(work)
  await Promise.all(work)
}
