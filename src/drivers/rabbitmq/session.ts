import { randomUUID } from 'node:crypto'
import type { SourceEvents } from '../../driver-kit/sources.js'
import { within } from '../../driver-kit/within.js'
import { CLOSE_TIMEOUT, reasonOf } from './connection.js'
import type { RabbitChannel, RabbitConnection, RabbitMessage } from './connection.js'
import { routesFor } from './routes.js'
import type { ExchangeType, Routes } from './routes.js'

/** One routing key, or pattern, of one exchange, and who wants what comes by it. */
export interface Binding {
  readonly exchange: string
  readonly routingKey: string
  readonly events: SourceEvents<RabbitMessage>
  /** Nobody wants it any more, whatever is still under way for it. */
  closed: boolean
}

export interface SessionSettings {
  /** For people: what the connection leads to. */
  readonly where: string
  /** The exchange that is made where it is missing; others have to be there. */
  readonly exchange: string
  readonly exchangeType: ExchangeType
  readonly queuePrefix: string
  /** Whether a message is for one binding only, however many it came by. */
  readonly once: boolean
  /** How often it is asked whether the exchanges are still there, which is not told. */
  readonly checkInterval: number
}

/** A queue that nobody consumes from is gone after this many milliseconds. */
const EXPIRES = 60_000

/** The queue for one exchange, which is there as long as something is bound to it. */
interface Reading {
  readonly exchange: string
  readonly queue: string
  readonly routes: Routes<Binding>
  /** Those that use it, whether they are bound already or not. */
  readonly bindings: Map<Binding, Promise<void>>
  /** How many of them there are for each routing key. */
  readonly wanted: Map<string, number>
  opened: Promise<{ consumerTag: string }>
}

/**
 * What the driver has on the broker, from the moment a link is there until it is lost. All that
 * may be refused is asked for on a channel of its own: RabbitMQ closes the channel on which it
 * refuses something, and what the topics are read by must not go with it.
 */
export class Session {
  /** Why it is over. */
  over: Error | undefined
  readonly #readings = new Map<string, Reading>()
  #control: Promise<RabbitChannel> | undefined
  readonly #checks: NodeJS.Timeout
  #checking = false

  private constructor(
    private readonly connection: RabbitConnection,
    private readonly channel: RabbitChannel,
    private readonly settings: SessionSettings,
    private readonly lost: (session: Session) => void,
  ) {
    channel.on('close', () => this.end(new Error('the channel was closed')))
    this.#checks = setInterval(() => void this.#check(), settings.checkInterval)
  }

  static async open(
    connection: RabbitConnection,
    settings: SessionSettings,
    lost: (session: Session) => void,
  ): Promise<Session> {
    return new Session(connection, await openChannel(connection), settings, lost)
  }

  /** It is over, or has to be: what it had on the broker is gone, or goes with its channels. */
  end(reason: Error): void {
    if (this.over !== undefined) return
    this.over = reason
    clearInterval(this.#checks)
    this.lost(this)
  }

  /** Lets go of all it has on the broker, on a connection that stays. */
  async close(): Promise<void> {
    if (this.over === undefined) {
      const opening = [...this.#readings.values()].map(({ opened }) => opened)
      await within(Promise.allSettled(opening), CLOSE_TIMEOUT)
      this.end(new Error('the driver was closed'))
    }
    // The queues go with their consumers, and those with their channel.
    await within(this.channel.close(), CLOSE_TIMEOUT)
    await within((async () => (await this.#control)?.close())(), CLOSE_TIMEOUT)
  }

  /**
   * Binds, so that what is published from when the promise resolves arrives.
   *
   * @param missed Why messages may have been missed, where it was bound before.
   * @throws Error with a `code` where RabbitMQ refuses it; any other where the session is over.
   */
  async bind(binding: Binding, missed?: string): Promise<void> {
    const { exchange, routingKey } = binding
    const reading = this.#readings.get(exchange) ?? this.#read(exchange)
    const bound = (async () => {
      await reading.opened
      await this.#run((channel) => channel.bindQueue(reading.queue, exchange, routingKey))
    })()
    reading.bindings.set(binding, bound)
    reading.wanted.set(routingKey, (reading.wanted.get(routingKey) ?? 0) + 1)
    try {
      await bound
    } catch (error) {
      // Why it could not be bound says more than why it could not be cleared away.
      await this.#leave(reading, binding).catch(() => undefined)
      throw error
    }
    if (binding.closed || this.over !== undefined) return
    if (missed !== undefined) binding.events.gap(missed)
    reading.routes.add(routingKey, binding)
  }

  /** Nothing comes by this binding any more; settles when the broker has let go, too. */
  async release(binding: Binding): Promise<void> {
    const reading = this.#readings.get(binding.exchange)
    const bound = reading?.bindings.get(binding)
    if (reading === undefined || bound === undefined) return
    reading.routes.delete(binding.routingKey)
    const isBound = await bound.then(
      () => true,
      () => false,
    )
    if (!isBound || !reading.bindings.has(binding) || this.over !== undefined) return
    const { queue, exchange } = reading
    const isLast = await this.#leave(reading, binding)
    // The broker has one binding for a key: if that is asked for again already, it stays. This one
    // may have been given up because the broker answered late, and the next be bound behind it.
    if (isLast || reading.wanted.has(binding.routingKey)) return
    await this.#run((channel) => channel.unbindQueue(queue, exchange, binding.routingKey))
  }

  #read(exchange: string): Reading {
    const { queuePrefix, exchangeType } = this.settings
    const reading: Reading = {
      exchange,
      queue: queuePrefix + randomUUID(),
      routes: routesFor(exchangeType),
      bindings: new Map(),
      wanted: new Map(),
      opened: this.#ensure(exchange).then(() => this.#consume(reading)),
    }
    this.#readings.set(exchange, reading)
    // Whoever waits for it is told; whoever comes later begins anew.
    reading.opened.catch(() => this.#forget(reading))
    return reading
  }

  async #consume(reading: Reading): Promise<{ consumerTag: string }> {
    const { queue } = reading
    const declaration = { exclusive: true, autoDelete: true, durable: false, expires: EXPIRES }
    await this.#run((channel) => channel.assertQueue(queue, declaration))
    // A consumer that is refused would take all others with it, so ask here whether one may read.
    await this.#run((channel) => channel.get(queue, { noAck: true }))
    const onMessage = (message: RabbitMessage | null) => {
      if (message !== null) this.#dispatch(reading, message)
      else if (this.#readings.get(reading.exchange) === reading) {
        this.end(new Error(`its queue ${queue} was deleted`))
      }
    }
    return this.channel.consume(queue, onMessage, { noAck: true, exclusive: true })
  }

  #dispatch(reading: Reading, message: RabbitMessage): void {
    if (this.over !== undefined) return
    // An error thrown into the library would take the whole connection down.
    try {
      for (const { events } of reading.routes.match(message)) {
        events.message(message)
        if (this.settings.once) return
      }
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error))
    }
  }

  /** @returns whether it was the last one, with which the queue has gone. */
  async #leave(reading: Reading, binding: Binding): Promise<boolean> {
    const { bindings, wanted } = reading
    const left = (wanted.get(binding.routingKey) ?? 0) - 1
    if (bindings.delete(binding)) {
      if (left > 0) wanted.set(binding.routingKey, left)
      else wanted.delete(binding.routingKey)
    }
    if (bindings.size > 0) return false
    this.#forget(reading)
    if (this.over !== undefined) return true
    const { consumerTag } = await reading.opened.catch(() => ({ consumerTag: undefined }))
    if (consumerTag !== undefined) await this.channel.cancel(consumerTag)
    // It has had no consumer yet, without whom it does not go by itself.
    else await this.#run((channel) => channel.deleteQueue(reading.queue))
    return true
  }

  #forget(reading: Reading): void {
    if (this.#readings.get(reading.exchange) === reading) this.#readings.delete(reading.exchange)
  }

  /** The exchange is there, and of the type that its messages are sorted by here. */
  async #ensure(exchange: string): Promise<void> {
    const { exchange: ours, exchangeType } = this.settings
    const check = () => this.#run((channel) => channel.checkExchange(exchange))
    if (exchange !== ours) await check()
    try {
      await this.#run((channel) =>
        channel.assertExchange(exchange, exchangeType, { durable: true }),
      )
    } catch (error) {
      const { code, message } = error as { code?: number; message: string }
      // The type is compared first, so one that differs in something else has the right one.
      if (code === 406 && !message.includes("arg 'type'")) return
      // Who may not make it may still use it, if its type can be taken on trust.
      if (code !== 403) throw error
      await check().catch((missing: unknown) => {
        throw (missing as { code?: number }).code === 404 ? error : missing
      })
    }
  }

  /** RabbitMQ tells nobody that an exchange was deleted. */
  async #check(): Promise<void> {
    if (this.#checking) return
    this.#checking = true
    for (const { exchange, bindings } of [...this.#readings.values()]) {
      try {
        await this.#run((channel) => channel.checkExchange(exchange))
      } catch (error) {
        // Any other ends the session by itself, or says nothing about the exchange.
        if (this.over !== undefined || (error as { code?: number }).code !== 404) continue
        const reason = `the exchange ${JSON.stringify(exchange)} was deleted`
        if (exchange === this.settings.exchange) return this.end(new Error(reason))
        const failure = new Error(`RabbitMQ at ${this.settings.where}: ${reason}.`, {
          cause: error,
        })
        for (const { events } of [...bindings.keys()]) events.fail(failure)
      }
    }
    this.#checking = false
  }

  /**
   * Does something that may be refused. What stood in the queue behind something refused is lost
   * with the channel, and is done again on the next one.
   */
  async #run<T>(work: (channel: RabbitChannel) => Promise<T>): Promise<T> {
    for (;;) {
      if (this.over !== undefined) throw this.over
      const control = (this.#control ??= this.#openControl())
      try {
        return await work(await control)
      } catch (error) {
        const isRefusal = typeof (error as { code?: unknown }).code === 'number'
        if (isRefusal || this.#control === control) throw error
      }
    }
  }

  #openControl(): Promise<RabbitChannel> {
    const forget = () => {
      if (this.#control === control) this.#control = undefined
    }
    const control = openChannel(this.connection, forget)
    control.catch(forget)
    return control
  }
}

async function openChannel(
  connection: RabbitConnection,
  closed: () => void = () => undefined,
): Promise<RabbitChannel> {
  const opening = connection.createChannel() as Promise<RabbitChannel> | undefined
  if (typeof opening?.then !== 'function') {
    throw new Error(
      'The connection given to rabbitmqDriver makes channels in another way than those of amqplib ' +
        'with promises do. Give it one of those, or a function that makes one.',
    )
  }
  const channel = await opening
  // What it says is said to whoever asked for it, too; without a listener it would be thrown.
  channel.on('error', () => undefined)
  channel.on('close', closed)
  return channel
}

/** In words for whoever runs the server: what was refused, and what to do about it. */
export function explain(error: unknown, binding: Binding, settings: SessionSettings): Error {
  const { exchange, routingKey } = binding
  const { where, exchangeType, queuePrefix } = settings
  const { code } = error as { code?: unknown }
  const reason = reasonOf(error)
  const [name, key] = [JSON.stringify(exchange), JSON.stringify(routingKey)]
  const failure = (text: string) => new Error(`RabbitMQ at ${where} ${text}`, { cause: error })
  if (code === 403) {
    return failure(
      `does not let this user read ${key} from the exchange ${name} (${reason}). It needs the ` +
        `permission to read the exchange, to configure it where it is to be made, and to ` +
        `configure, write and read queues that start with ${JSON.stringify(queuePrefix)}.`,
    )
  }
  if (code === 404) {
    return failure(`has no exchange ${name} (${reason}). Make it, or correct what address answers.`)
  }
  if (code === 406) {
    return failure(
      `has an exchange ${name} that is not of type ${exchangeType} (${reason}). Set exchangeType ` +
        'to its type, or take another exchange.',
    )
  }
  return failure(`did not open ${key} of the exchange ${name} (${reason}).`)
}
