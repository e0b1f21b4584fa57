import type { Subscription } from '../driver.js'
import { Attachment } from './attachment.js'
import { reasonOf } from './connect-error.js'
import { inTime } from './in-time.js'
import type { Link } from './link.js'
import type { OpenSource, SourceEvents } from './sources.js'
import { within } from './within.js'

/** How a driver listens to one of the broker's topics on one connection. */
export interface Listening<Connection, Message> {
  /**
   * Asks for the topic. What is published once the promise has resolved has to arrive.
   *
   * @param message Is called with each message; calls after `stop`, or after the connection was
   *   lost, are ignored.
   */
  listen(
    connection: Connection,
    source: string,
    message: (message: Message) => void,
  ): Promise<unknown>
  /** Takes that back. It is only called on a connection that is still there. */
  stop(connection: Connection, source: string): Promise<unknown>
  /**
   * The error to end the topic with, where the broker itself refuses it. Undefined where the link
   * failed: the connection is given up, and the next one is asked.
   */
  refusal(source: string, error: unknown): Error | undefined
  /** What a topic is called in errors, such as `channel "orders"`. */
  what(source: string): string
  /** How long opening may take, a reconnect included, in milliseconds. Default: 5,000. */
  subscribeTimeout?: number | undefined
  /** How long the broker may take to confirm that a topic is let go of. Default: 1,000. */
  closeTimeout?: number | undefined
}

/**
 * Reads a broker's topics over a {@link Link}, for a library that forgets them with a connection:
 * they are asked for on each connection anew, and a gap is told in the right place (see
 * {@link Attachment}). Its result is what {@link Sources} opens topics with.
 *
 * Close the link before the sources: then topics are not taken back one by one.
 */
export function listenOver<Connection, Message>(
  link: Link<Connection>,
  how: Listening<Connection, Message>,
): OpenSource<Message> {
  const listeners = new Set<Listener<Connection, Message>>()
  const { subscribeTimeout = 5_000 } = how
  let reason = ''
  link.on({
    lost(cause) {
      reason = cause === undefined ? '' : ` (${reasonOf(cause)})`
    },
    up(connection) {
      const missed = `The link to ${link.broker} at ${link.where} was lost${reason} and is back.`
      for (const listener of [...listeners]) listener.attach(connection, missed)
    },
    over(error) {
      for (const listener of [...listeners]) listener.end(error)
    },
  })
  return async (source, events) => {
    const until = performance.now() + subscribeTimeout
    const connection = await link.get(subscribeTimeout)
    const listener = new Listener(source, events, link, how, listeners)
    listener.attach(connection, '')
    const late = () => {
      const { trouble } = listener
      const what = `${link.broker} at ${link.where} did not confirm ${how.what(source)}`
      const why = trouble === undefined ? '' : ` (${reasonOf(trouble)})`
      // What the broker says is worth more than a guess.
      const advice = trouble === undefined ? ' Check that it is up and reachable.' : ''
      const message = `${what} within ${subscribeTimeout} ms${why}.${advice}`
      return trouble === undefined ? new Error(message) : new Error(message, { cause: trouble })
    }
    try {
      await inTime(listener.opened, until - performance.now(), late, link.closing)
    } catch (error) {
      await listener.close()
      throw error
    }
    return listener
  }
}

class Listener<Connection, Message> implements Subscription {
  /** Settles when the broker has confirmed the topic, or refused it. */
  readonly opened: Promise<void>
  /** What went wrong the last time that the topic was asked for. */
  trouble: unknown
  readonly #attachment: Attachment<[Message]>
  #connection: Connection | undefined
  #confirm: () => void = () => undefined
  #refuse: (error: Error) => void = () => undefined

  constructor(
    private readonly source: string,
    private readonly events: SourceEvents<Message>,
    private readonly link: Link<Connection>,
    private readonly how: Listening<Connection, Message>,
    private readonly listeners: Set<Listener<Connection, Message>>,
  ) {
    this.#attachment = new Attachment(events)
    this.opened = new Promise((resolve, reject) => {
      this.#confirm = resolve
      this.#refuse = reject
    })
    // Also of one that is refused while nobody waits for it any more.
    this.opened.catch(() => undefined)
    listeners.add(this)
  }

  /**
   * Asks for the topic on a connection, the first one or the next.
   *
   * @param missed Why messages may be missing, where it is not the first one.
   */
  attach(connection: Connection, missed: string): void {
    this.#connection = connection
    this.#attachment.missed(missed)
    const isCurrent = () => this.#connection === connection
    const message = (message: Message) => {
      if (!isCurrent()) return
      this.link.heard()
      this.#attachment.message(message)
      this.#confirm()
    }
    const listening = (async () => this.how.listen(connection, this.source, message))()
    listening.then(
      () => {
        if (!isCurrent()) return
        this.#attachment.restored()
        this.#confirm()
      },
      (error: unknown) => {
        if (!isCurrent()) return
        this.trouble = error
        const refusal = this.how.refusal(this.source, error)
        if (refusal !== undefined) this.end(refusal)
        else this.link.lose(connection, error)
      },
    )
  }

  /** It is over, and whoever opened it or reads it is told. */
  end(error: Error): void {
    if (!this.listeners.delete(this)) return
    this.#connection = undefined
    if (this.#attachment.isLive) this.events.fail(error)
    else this.#refuse(error)
  }

  async close(): Promise<void> {
    this.listeners.delete(this)
    const connection = this.#connection
    this.#connection = undefined
    if (connection === undefined || this.link.current !== connection) return
    const stopping = (async () => this.how.stop(connection, this.source))()
    await within(stopping, this.how.closeTimeout ?? 1_000)
  }
}
