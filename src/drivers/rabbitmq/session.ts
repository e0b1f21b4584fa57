import { randomUUID } from 'node:crypto'
import { within } from '../../driver-kit/index.js'
import { CLOSE_TIMEOUT } from './connection.js'
import type { RabbitChannel, RabbitConnection, RabbitMessage } from './connection.js'
import { ControlChannel, openChannel } from './control-channel.js'
import { isOtherType } from './errors.js'
import { placeOf } from './names.js'
import { Publisher } from './publisher.js'
import { routesFor } from './routes.js'
import type { ExchangeType, Routes } from './routes.js'
import { Sentinel } from './sentinel.js'

export interface SessionSettings {
  /** The broker's host and port, for errors. */
  readonly where: string
  /** The exchange that is made where it is missing; others have to be there. */
  readonly exchange: string
  readonly exchangeType: ExchangeType
  readonly queuePrefix: string
  /** Whether a message is for one binding only, however many it came by. */
  readonly once: boolean
  /** How often it is asked whether the exchanges are still there, in milliseconds. */
  readonly checkInterval: number
  /** A source can't be read any more, on any connection. */
  failed(source: string, error: Error): void
}

/** RabbitMQ deletes a queue that has had no consumer for as long, in milliseconds. */
const EXPIRES = 60_000

/** One routing key, or pattern, of one exchange, and who reads it. */
interface Binding {
  /** Exchange and routing key as one name. */
  readonly source: string
  readonly routingKey: string
  readonly message: (message: RabbitMessage) => void
  /** It is not read any more, though the broker may still be asked for it. */
  isReleased: boolean
}

/** The queue of ours for one exchange. It exists while something is bound to it. */
interface Inbox {
  readonly exchange: string
  readonly sentinel: Sentinel
  readonly queue: string
  readonly routes: Routes<Binding>
  /** What is read from it, or is about to be, with the broker's confirmation. */
  readonly bindings: Map<Binding, Promise<void>>
  /** How many bindings there are for each routing key. */
  readonly wanted: Map<string, number>
  opened: Promise<{ consumerTag: string }>
}

/**
 * What the driver has on the broker, from the moment when there is a connection until that is lost:
 * a queue for each exchange, its bindings, and the channel that they are consumed on.
 */
export class Session {
  /** Why it is over. */
  over: Error | undefined
  /** Settles with the reason when the session is over. */
  readonly ended: Promise<Error>
  readonly #inboxes = new Map<string, Inbox>()
  readonly #bindings = new Map<string, Binding>()
  readonly #control: ControlChannel
  readonly #publisher: Publisher
  /** The exchanges that were seen to be there, to publish to them. */
  readonly #ensured = new Map<string, Promise<void>>()
  #channel: RabbitChannel | undefined
  #checks: NodeJS.Timeout | undefined
  #resolveEnded: (reason: Error) => void = () => undefined
  #isChecking = false

  private constructor(
    readonly connection: RabbitConnection,
    private readonly settings: SessionSettings,
  ) {
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve))
    this.#publisher = new Publisher(connection)
    this.#control = new ControlChannel(connection, () => {
      if (this.over !== undefined) throw this.over
    })
  }

  static async open(connection: RabbitConnection, settings: SessionSettings): Promise<Session> {
    const session = new Session(connection, settings)
    session.#channel = await openChannel(connection, () => {
      session.end(new Error('the channel was closed'))
    })
    session.#checks = setInterval(() => void session.#check(), settings.checkInterval)
    return session
  }

  /** It is over, or has to be: what it had on the broker is gone, or goes with its channels. */
  end(reason: Error): void {
    if (this.over !== undefined) return
    this.over = reason
    clearInterval(this.#checks)
    this.#resolveEnded(reason)
  }

  /** Lets go of all it has on the broker, on a connection that stays. */
  async close(): Promise<void> {
    if (this.over === undefined) {
      const opening = [...this.#inboxes.values()].map(({ opened }) => opened)
      await within(Promise.allSettled(opening), CLOSE_TIMEOUT)
      this.end(new Error('the driver was closed'))
    }
    // RabbitMQ deletes the queues with their consumers, and those with their channel.
    await Promise.all([
      within((async () => this.#channel?.close())(), CLOSE_TIMEOUT),
      within(this.#control.close(), CLOSE_TIMEOUT),
      within(this.#publisher.close(), CLOSE_TIMEOUT),
    ])
  }

  /**
   * Binds a source, so that what is published from when the promise resolves is handed over.
   *
   * @throws Error with a `code` where RabbitMQ refuses it; any other where the session is over.
   */
  async bind(source: string, message: (message: RabbitMessage) => void): Promise<void> {
    const [exchange, routingKey] = placeOf(source)
    const binding: Binding = { source, routingKey, message, isReleased: false }
    this.#bindings.set(source, binding)
    const inbox = this.#inboxes.get(exchange) ?? this.#openInbox(exchange)
    const bound = (async () => {
      await inbox.opened
      await this.#control.run((channel) => channel.bindQueue(inbox.queue, exchange, routingKey))
    })()
    inbox.bindings.set(binding, bound)
    inbox.wanted.set(routingKey, (inbox.wanted.get(routingKey) ?? 0) + 1)
    try {
      await bound
    } catch (error) {
      if (this.#bindings.get(source) === binding) this.#bindings.delete(source)
      // Why it could not be bound says more than why it could not be cleared away.
      await this.#leave(inbox, binding).catch(() => undefined)
      throw error
    }
    if (!binding.isReleased && this.over === undefined) inbox.routes.add(routingKey, binding)
  }

  /** Nothing of this source is handed over any more. Settles when the broker has let go, too. */
  async release(source: string): Promise<void> {
    const binding = this.#bindings.get(source)
    if (binding === undefined) return
    this.#bindings.delete(source)
    binding.isReleased = true
    const [exchange, routingKey] = placeOf(source)
    const inbox = this.#inboxes.get(exchange)
    const bound = inbox?.bindings.get(binding)
    if (inbox === undefined || bound === undefined) return
    inbox.routes.delete(routingKey)
    const isBound = await bound.then(
      () => true,
      () => false,
    )
    if (!isBound || !inbox.bindings.has(binding) || this.over !== undefined) return
    const isLast = await this.#leave(inbox, binding)
    // RabbitMQ has one binding for a routing key, and it stays where the key is wanted again. An
    // example: a bind is answered late and given up, and the next bind of that key waits behind it.
    if (isLast || inbox.wanted.has(routingKey)) return
    await this.#control.run((channel) => channel.unbindQueue(inbox.queue, exchange, routingKey))
  }

  #openInbox(exchange: string): Inbox {
    const { queuePrefix, exchangeType } = this.settings
    const sentinel = new Sentinel(this.#control, exchange, queuePrefix)
    const opening = async () => {
      await this.#ensure(exchange)
      await sentinel.begin()
      return this.#consume(inbox)
    }
    const inbox: Inbox = {
      exchange,
      sentinel,
      queue: queuePrefix + randomUUID(),
      routes: routesFor(exchangeType),
      bindings: new Map(),
      wanted: new Map(),
      opened: opening(),
    }
    this.#inboxes.set(exchange, inbox)
    // Each bind that waits for it is told. The next bind opens another one.
    inbox.opened.catch(() => this.#forget(inbox))
    return inbox
  }

  async #consume(inbox: Inbox): Promise<{ consumerTag: string }> {
    const { queue } = inbox
    const declaration = { exclusive: true, autoDelete: true, durable: false, expires: EXPIRES }
    await this.#control.run((channel) => channel.assertQueue(queue, declaration))
    // A refused consumer would close the channel of all others, so whether this user may read is
    // asked here.
    await this.#control.run((channel) => channel.get(queue, { noAck: true }))
    const onMessage = (message: RabbitMessage | null) => {
      if (message !== null) this.#dispatch(inbox, message)
      else if (this.#inboxes.get(inbox.exchange) === inbox) {
        this.end(new Error(`its queue ${queue} was deleted`))
      }
    }
    return this.#channel!.consume(queue, onMessage, { noAck: true, exclusive: true })
  }

  #dispatch(inbox: Inbox, message: RabbitMessage): void {
    if (this.over !== undefined) return
    for (const binding of inbox.routes.match(message)) {
      binding.message(message)
      if (this.settings.once) return
    }
  }

  /** @returns whether it was the last binding, with which the queue has gone. */
  async #leave(inbox: Inbox, binding: Binding): Promise<boolean> {
    const { bindings, wanted } = inbox
    const left = (wanted.get(binding.routingKey) ?? 0) - 1
    if (bindings.delete(binding)) {
      if (left > 0) wanted.set(binding.routingKey, left)
      else wanted.delete(binding.routingKey)
    }
    if (bindings.size > 0) return false
    this.#forget(inbox)
    if (this.over !== undefined) return true
    const { consumerTag } = await inbox.opened.catch(() => ({ consumerTag: undefined }))
    if (consumerTag !== undefined) await this.#channel?.cancel(consumerTag)
    // RabbitMQ deletes a queue with its last consumer, and this one has had none.
    else await this.#control.run((channel) => channel.deleteQueue(inbox.queue))
    return true
  }

  #forget(inbox: Inbox): void {
    if (this.#inboxes.get(inbox.exchange) === inbox) this.#inboxes.delete(inbox.exchange)
  }

  /** Sees to it that the exchange is there, and of the type that its messages are sorted by here. */
  async #ensure(exchange: string): Promise<void> {
    const { exchange: ours, exchangeType } = this.settings
    const check = () => this.#control.run((channel) => channel.checkExchange(exchange))
    if (exchange !== ours) await check()
    try {
      await this.#control.run((channel) =>
        channel.assertExchange(exchange, exchangeType, { durable: true }),
      )
    } catch (error) {
      const { code } = error as { code?: number }
      // An exchange that differs in something else is of the right type.
      if (code === 406 && !isOtherType(error)) return
      // A user who may not make it may still read it; its type is taken on trust.
      if (code !== 403) throw error
      await check().catch((missing: unknown) => {
        throw (missing as { code?: number }).code === 404 ? error : missing
      })
    }
  }

  /** Publishes a message. The exchange of the settings is made where it is missing, once a session. */
  async publish(exchange: string, routingKey: string, content: Buffer): Promise<void> {
    if (this.over !== undefined) throw this.over
    const ensured = this.#ensured.get(exchange) ?? this.#ensure(exchange)
    this.#ensured.set(exchange, ensured)
    try {
      await ensured
      await this.#publisher.publish(exchange, routingKey, content)
    } catch (error) {
      this.#ensured.delete(exchange)
      throw error
    }
  }

  /** Asks for the exchanges, since RabbitMQ tells nobody that one was deleted. */
  async #check(): Promise<void> {
    if (this.#isChecking) return
    this.#isChecking = true
    for (const { exchange, sentinel, bindings } of [...this.#inboxes.values()]) {
      try {
        await this.#control.run((channel) => channel.checkExchange(exchange))
        if (!(await sentinel.isReplaced())) continue
        // What was bound is not bound any more, whatever this session has of it.
        const name = JSON.stringify(exchange)
        return this.end(new Error(`the exchange ${name} was deleted and made again`))
      } catch (error) {
        // Any other error ends the session by itself, or says nothing about the exchange.
        if (this.over !== undefined || (error as { code?: number }).code !== 404) continue
        const reason = `the exchange ${JSON.stringify(exchange)} was deleted`
        if (exchange === this.settings.exchange) return this.end(new Error(reason))
        const { where, failed } = this.settings
        const failure = new Error(
          `RabbitMQ at ${where}: ${reason}. Make it, and subscribe again.`,
          { cause: error },
        )
        for (const { source } of [...bindings.keys()]) failed(source, failure)
      }
    }
    this.#isChecking = false
  }
}
