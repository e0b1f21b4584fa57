import type { Payload, Sink, Subscription } from '../driver.js'
import { OptionsError } from '../errors.js'
import type { OptionCheck } from './options.js'
import { callback, names } from './options.js'
import type { ChoosePayload } from './payload.js'
import { checkedPayload, PAYLOAD } from './payload.js'

/** Which of the broker's topics feed which of ours. */
export interface RoutingOptions<Message> {
  /**
   * The broker's topic that a topic of ours is read from. Topics with the same one share one
   * reading of it. Default: the topic's own name.
   */
  address?: (topic: string) => string
  /**
   * The broker's topics that feed all of ours; `route` then says which message is for which.
   * With many topics, one for each user, this is how they need not be as many on the broker.
   */
  sources?: readonly string[]
  /** The topic, or topics, of ours that a message is for. What nobody here has is dropped. */
  route?: (message: Message) => string | readonly string[] | undefined
  /**
   * What of a message is sent to the clients of a topic: text, bytes, or `{ event, data }` for an
   * event of another name than the topic's. Default: its body, byte for byte.
   */
  payload?: ChoosePayload<Message>
}

/** The options' checks, to be spread into a driver's table. */
export const routingChecks: Record<keyof RoutingOptions<unknown>, OptionCheck> = {
  address: callback("a function from a topic to the broker's name for it"),
  sources: names,
  route: callback('a function from a message to a topic, or to several'),
  payload: callback(PAYLOAD),
}

/** What becomes of one of the broker's topics while it is read. */
export interface SourceEvents<Message> {
  message(message: Message): void
  gap(reason: string): void
  /** It is over. The source's `close` is still called. */
  fail(error: Error): void
}

/** Starts to read one of the broker's topics; the promise is the ready moment. */
export type OpenSource<Message> = (
  source: string,
  events: SourceEvents<Message>,
) => Promise<Subscription>

/**
 * The broker's topics that a driver reads, each once, and the topics of ours that they feed.
 *
 * One is opened with the first topic that needs it, and closed with the last. One that is asked
 * for again while it is being closed is opened anew, after.
 */
export class Sources<Message> {
  private readonly current = new Map<string, Source<Message>>()
  private readonly closing = new Map<string, Promise<void>>()

  /** @throws OptionsError where `sources` and `route` do not come together. */
  constructor(
    driver: string,
    private readonly open: OpenSource<Message>,
    private readonly options: RoutingOptions<Message>,
    private readonly body: (message: Message) => string | Uint8Array,
  ) {
    const { sources, route, address } = options
    if ((sources === undefined) !== (route === undefined)) {
      throw new OptionsError(`${driver}: sources and route are given together, or neither is.`)
    }
    if (sources !== undefined && address !== undefined) {
      throw new OptionsError(`${driver}: give address, or sources with route, not both.`)
    }
  }

  /** Feeds `sink` with what is for `topic`, from when the promise resolves. */
  async subscribe(topic: string, sink: Sink): Promise<Subscription> {
    const { sources, address = (topic: string) => topic } = this.options
    const fed = [...new Set(sources ?? [address(topic)])].map((name) => this.acquire(name))
    for (const source of fed) source.sinks.set(topic, sink)
    const leave = async () => {
      await Promise.all(fed.map((source) => this.release(source, topic, sink)))
    }
    try {
      await Promise.all(fed.map((source) => source.opened))
    } catch (error) {
      await leave()
      throw error
    }
    return { close: leave }
  }

  /** Closes all that is open. */
  async close(): Promise<void> {
    for (const source of this.current.values()) this.end(source)
    await Promise.all(this.closing.values())
  }

  private acquire(name: string): Source<Message> {
    let source = this.current.get(name)
    if (source === undefined) {
      source = new Source(name, this.options, this.body, (failed) => this.end(failed))
      this.current.set(name, source)
      source.start(this.open, this.closing.get(name))
    }
    return source
  }

  private async release(source: Source<Message>, topic: string, sink: Sink): Promise<void> {
    if (source.sinks.get(topic) === sink) source.sinks.delete(topic)
    if (source.sinks.size === 0 && this.current.get(source.name) === source) this.end(source)
    if (source.sinks.size === 0) await this.closing.get(source.name)
  }

  private end(source: Source<Message>): void {
    if (this.current.get(source.name) !== source) return
    this.current.delete(source.name)
    const before = this.closing.get(source.name)
    const closed = Promise.all([source.stop(), before]).then(() => {
      if (this.closing.get(source.name) === closed) this.closing.delete(source.name)
    })
    this.closing.set(source.name, closed)
  }
}

class Source<Message> implements SourceEvents<Message> {
  readonly sinks = new Map<string, Sink>()
  opened: Promise<void> = Promise.resolve()
  private subscription: Subscription | undefined
  private over = false

  constructor(
    readonly name: string,
    private readonly options: RoutingOptions<Message>,
    private readonly body: (message: Message) => string | Uint8Array,
    private readonly end: (source: Source<Message>) => void,
  ) {}

  start(open: OpenSource<Message>, after: Promise<void> | undefined): void {
    this.opened = (async () => {
      await after
      this.subscription = await open(this.name, this)
    })()
    // Those who subscribe wait for it and are told.
    this.opened.catch(() => this.end(this))
  }

  /** Never rejects: what could not be closed in order is gone with its connection. */
  async stop(): Promise<void> {
    this.over = true
    await this.opened.then(() => this.subscription?.close()).catch(() => undefined)
  }

  message(message: Message): void {
    if (this.over) return
    let topics: Iterable<string>
    try {
      topics = this.topicsOf(message)
    } catch (error) {
      this.gap(`route failed on a message from ${this.name}: ${String(error)}`)
      return
    }
    for (const topic of topics) {
      const sink = this.sinks.get(topic)
      if (sink === undefined) continue
      let payload: Payload
      try {
        payload = checkedPayload((this.options.payload ?? this.body)(message, topic))
      } catch (error) {
        sink.gap(`payload failed on a message from ${this.name}: ${String(error)}`)
        continue
      }
      sink.message(payload)
    }
  }

  gap(reason: string): void {
    if (this.over) return
    for (const sink of [...this.sinks.values()]) sink.gap(reason)
  }

  fail(error: Error): void {
    if (this.over) return
    this.over = true
    for (const sink of [...this.sinks.values()]) sink.fail(error)
    this.end(this)
  }

  private topicsOf(message: Message): Iterable<string> {
    const { route } = this.options
    if (route === undefined) return [...this.sinks.keys()]
    const topics = route(message)
    if (topics === undefined) return []
    return typeof topics === 'string' ? [topics] : new Set(topics)
  }
}
