import type { ClientCommands, Each, Health, Selected } from './service/commands.js'
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
import { ClientExistsError, StreamerClosedError, TransientClientError } from './errors.js'
import { answerOf, safely } from './callbacks.js'
import type { StreamerEvents } from './service/events.js'
import { networkOf } from './http/address.js'
import type { Companion, Door } from './http/door.js'
import { LocalCommands } from './service/local-commands.js'
import { checkClientId, checkTopicNames, isTransientId } from './service/names.js'
import { Signals } from './service/signals.js'
import { duringOpening, openingOf } from './service/opening.js'
import { checkOptions } from './option-checks.js'
import type { Settings } from './options.js'
import type { Log } from './log.js'
import { logOf } from './log.js'
import type { Stats } from './service/stats.js'
import { noCounts } from './service/stats.js'
import type { RightsCommands } from './service/rechecks.js'
import { Rechecks } from './service/rechecks.js'
import { Rights } from './service/rights.js'
import type { Selector } from './service/selector.js'
import type { JoinOptions, SubscribeOptions } from './service/subscriptions.js'
import { Subscriptions } from './service/subscriptions.js'
import { Turnstile } from './service/turnstile.js'

/** How the parts of a Streamer call its listeners. */
export interface AssemblyHost {
  emit<Name extends keyof StreamerEvents>(event: Name, ...details: StreamerEvents[Name]): void
  /** @returns when the listeners have settled, or undefined where they have already. */
  emitAndSettle(event: 'connect', client: Client): Promise<void> | undefined
  /** Whether anybody listens to `connect`. */
  hears(event: 'connect'): boolean
  removeClient(id: string): Promise<unknown>
}

/** The parts of one Streamer, put together. */
export class Assembly {
  readonly counts = noCounts()
  readonly timers: Timers
  readonly delivery: Delivery
  readonly subscriptions: Subscriptions
  readonly clients: Clients
  readonly cluster: Cluster | undefined
  readonly commands: ClientCommands
  /** Looks at rights again, on all servers. */
  readonly rightsCommands: RightsCommands
  /** How `handle` and the middleware open the stream of a request. */
  readonly door: Door
  private readonly companions = new Set<Companion>()
  private readonly rechecks: Rechecks
  private readonly broker: BrokerWatch
  /** When the last streams were ended, on the clock of `performance.now`. */
  goodbyeAt: number | undefined
  private state: 'open' | 'draining' | 'closing' = 'open'
  private endDrains: () => void = () => undefined
  private readonly closeBegins = new Promise<void>((resolve) => (this.endDrains = resolve))

  constructor(
    private readonly driver: Driver,
    private readonly settings: Settings,
    private readonly host: AssemblyHost,
  ) {
    takeDriver(driver)
    settings.random = this.soundRandom(settings.random)
    this.broker = new BrokerWatch(driver, {
      down: (outage) => {
        queueMicrotask(() => host.emit('brokerDown', outage))
        this.warn(outage, 'The broker can not be reached. The driver keeps trying.')
      },
      up: (outage) => {
        queueMicrotask(() => host.emit('brokerUp', outage))
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
      secret: settings.secret,
      delayOf: (topic) => this.delayOf(topic),
      // A message that was sent at the end of its time, the next sign of life, and the time away.
      positionLife:
        settings.maxResume.time ??
        (log === undefined
          ? Infinity
          : settings.history.maxAge + settings.heartbeatInterval + settings.clientTTL),
      host: {
        lost: (client, topic) => this.lost(client, topic),
        resumed: (resume) => void this.counts.resumes[resume]++,
        endsWith: (topic, payload) => this.subscriptions.endsWith(topic, payload),
        filtered: (topic, payload) => this.subscriptions.filtered(topic, payload),
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
        opened: (topic) => host.emit('topicOpened', topic),
        closed: (topic) => host.emit('topicClosed', topic),
        gap: (topic, reason) => queueMicrotask(() => host.emit('gap', topic, reason)),
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
        emit: (event, ...details) => host.emit(event, ...details),
        connected: (client, position) => this.connected(client, position),
        recheck: (client) => this.recheckOne(client),
        removeClient: (id) => host.removeClient(id),
        claimSettled: (client) => this.cluster?.claimSettled(client),
        streamEnded: (client) => this.cluster?.streamEnded(client),
        ended: (client) => void this.cluster?.ended(client),
        others: settings.directory !== undefined,
      },
    )
    const authorizing = new Turnstile(settings.maxAuthorizeCalls, this.timers)
    const rights = new Rights(settings.authorize, authorizing)
    this.door = {
      enter: (client, visit, plan) => this.rechecks.enter(client, visit, plan),
      rights,
      refused: (owner, address, topics) => {
        const whose = { owner, address: networkOf(address, settings.ipv6Prefix) }
        for (const topic of topics) this.subscriptions.refused(whose, topic)
      },
      goesWithStream: (id) => this.goesWithStream(id),
      subscribe: (id, topic, options) => this.join(id, topic, options),
      unsubscribe: (id, topic) => this.commands.unsubscribe(id, topic),
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
      retryAfterRefusal: () =>
        settings.passingRefusals === 'stream' ? this.clients.retry() : undefined,
      infoEvent: this.delivery.infoEvent,
      signals: new Signals(this.delivery.timings),
      failed: (error) => this.report(error, 'A request failed.'),
      warn: (details, message) => this.warn(details, message),
      checkTopics: (names) => checkTopicNames(names, settings),
      authorizing,
      companions: this.companions,
    }
    if (settings.directory === undefined) {
      const here = new LocalCommands(this.clients, this.subscriptions)
      this.commands = here
      this.rechecks = new Rechecks(rights, here, this.clients, this.subscriptions)
      this.rightsCommands = this.rechecks
      return
    }
    this.cluster = new Cluster(settings.directory, {
      settings,
      timers: this.timers,
      clients: this.clients,
      subscriptions: this.subscriptions,
      delivery: this.delivery,
      rights,
      refusing: () => this.state === 'closing',
      report: (cause, message) => this.report(cause, message),
      warn: (details, message) => this.warn(details, message),
    })
    const commands = new ClusterCommands(this.cluster)
    this.commands = commands
    this.rightsCommands = commands
    this.rechecks = this.cluster.rechecks
    this.cluster.open().catch((error: unknown) => {
      if (this.state === 'open') {
        this.report(error, 'The directory of clients could not be opened.')
      }
    })
  }

  get health(): Health {
    const { health } = this.broker
    const state = this.cluster?.state
    const ok = this.state === 'open' && state?.directory !== 'down' && health.broker !== 'down'
    const changes = [health.since, state?.since].filter((since) => since !== undefined)
    return { ok, ...health, ...state, ...(changes.length > 0 && { since: Math.max(...changes) }) }
  }

  /** See `Streamer.subscribe`. */
  async subscribe(id: string, topic: string, options: SubscribeOptions): Promise<void> {
    if (!this.goesWithStream(id)) {
      await this.join(id, topic, options)
      return
    }
    const opening = openingOf(this.clients.index.get(id))
    if (opening === undefined) throw new TransientClientError()
    await this.join(id, topic, goingOn(options, opening.position))
  }

  /** See `Streamer.subscribe`, for several clients. */
  async each(which: Selector, what: Each): Promise<Selected> {
    if (what.do === 'subscribe' && this.state === 'closing') throw new StreamerClosedError()
    return this.commands.each(which, what)
  }

  /** See `Streamer.endTopic`. */
  endTopic(topic: string): number {
    if (this.state === 'closing') throw new StreamerClosedError()
    if (this.cluster !== undefined) {
      const hint = 'Publish a last message and name it by topics: [{ match, end }].'
      this.warn({ topic, hint }, "endTopic reaches this server's clients only.")
    }
    return this.subscriptions.end(topic)
  }

  /** See `Streamer.drain`. */
  async drain(over: number): Promise<void> {
    if (this.state === 'open') this.state = 'draining'
    const drained = this.clients.drain(over, (client, retry) => this.sendAway(client, retry))
    // `close` sends everybody away at once, and stops the timers that a drain waits for.
    const companions = [...this.companions].map((companion) => companion.drain())
    await Promise.race([Promise.all([drained, ...companions]), this.closeBegins])
  }

  /** See `Streamer.stats`. */
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

  /** See `Streamer.newClient`. */
  async make(caller: string, id: string, options: ClientOptions): Promise<Client> {
    checkOptions(caller, options, CLIENT_OPTIONS)
    const owner = options.owner === false ? undefined : options.owner
    const opening = this.delivery.ready()
    if (opening !== undefined) await opening
    // A page that has its client made comes back to a server that drains, and is served once more.
    const serves = this.state === 'open' || (this.state === 'draining' && options.transient)
    if (!serves) throw new StreamerClosedError()
    checkClientId(id)
    const { index } = this.clients
    if (index.get(id) !== undefined) throw new ClientExistsError()
    const address = networkOf(options.address, this.settings.ipv6Prefix)
    const place = this.clients.reserve({ owner, address })
    try {
      const { labels } = options
      if (options.transient) return this.clients.make(id, { owner, labels, transient: true }, place)
      return await this.commands.create({ id, owner, labels }, place)
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

  /** See `Streamer.close`. */
  async close(): Promise<void> {
    this.state = 'closing'
    this.endDrains()
    const companions = Promise.all([...this.companions].map((companion) => companion.close()))
    // No `await` without a cluster: all clients get `Client closed` in this turn of the event loop.
    if (this.cluster !== undefined) await this.cluster.releaseAll()
    this.goodbyeAt = performance.now()
    await this.clients.close()
    await companions
    this.delivery.stop()
    await this.subscriptions.close()
    await this.cluster?.close()
    this.timers.stop()
    this.broker.stop()
    await this.driver.close()
  }

  /**
   * Whether what is added to this client would be gone with its stream. One that has no stream yet can
   * be given topics: its request names them again the next time.
   */
  private goesWithStream(id: string): boolean {
    const client = this.clients.index.get(id)
    if (client !== undefined) return client.transient && client.connected
    return this.cluster !== undefined && isTransientId(id)
  }

  private async join(id: string, topic: string, options: JoinOptions): Promise<boolean> {
    if (this.state === 'closing') throw new StreamerClosedError()
    return this.commands.subscribe(id, topic, options)
  }

  private async recheckOne(client: Client): Promise<void> {
    try {
      await this.rechecks.once(client)
    } catch (error) {
      this.report(error, "A client's topics stay, since authorize failed.")
    }
  }

  private connected(client: Client, position: string | undefined): Promise<void> | undefined {
    if (!this.host.hears('connect')) return undefined
    const emit = () => this.host.emitAndSettle('connect', client)
    return client.transient ? duringOpening({ client, position }, emit) : emit()
  }

  private lost(client: Client, topic: string): void {
    this.counts.messagesLost++
    // This is called in the middle of a write, and a listener may publish.
    queueMicrotask(() => this.host.emit('messagesLost', client, topic))
  }

  private sendAway(client: Client, retry: number): void {
    // With a cluster the client keeps its id and its topics.
    if (this.cluster !== undefined) void this.cluster.release(client, retry)
    else this.clients.remove(client, 'closed', retry)
  }

  /** How long a topic's messages may wait. Where the application does not say it well, not at all. */
  private delayOf(topic: string): number {
    try {
      return this.settings.delayOf(topic)
    } catch (error) {
      this.report(error, 'batch.maxDelay failed; the messages of the topic do not wait.')
      return 0
    }
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

  report(cause: unknown, message: string): void {
    this.host.emit('error', new Error(message, { cause }))
    safely(() => this.settings.logger.error({ err: cause }, message))
  }
}

/** A topic that is subscribed anew with each connection goes on from the position that it named. */
function goingOn(options: SubscribeOptions, position: string | undefined): JoinOptions {
  const { rewind, after } = options
  if (rewind !== undefined || after !== undefined || position === undefined) return options
  return { after: position, goesOn: true, named: true }
}
