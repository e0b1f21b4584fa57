/**
 * The contract between a Streamer and the driver of a message broker: all that a driver may rely
 * on, and all that it must do. The suite in `unifrost/testing` checks it against a real broker.
 * `log.ts` has what a broker with a log adds.
 */

/** What a client gets of a message under another event name than the topic's. */
export interface NamedPayload {
  /** The event's name. `message` is what a page's `onmessage` hears. */
  readonly event: string
  readonly data: string | Uint8Array
}

/** What a client gets of a message. Without a name, the event has that of the topic. */
export type Payload = string | Uint8Array | NamedPayload

/**
 * Where a driver hands over what the broker sends for one topic.
 *
 * A driver may call a sink from the moment `Driver.subscribe` is called, even before its promise
 * settles, synchronously or not, and any number of times. A sink never throws and never blocks. It
 * ignores calls after the subscription was closed and calls after `fail`, so a driver need not
 * guard against a late callback of the broker.
 */
export interface Sink {
  /**
   * One message. The driver hands over a topic's messages in the order in which the broker
   * delivers them, and leaves out those that the broker delivers again.
   *
   * The sink copies the bytes before the call returns, so a driver may reuse its buffer.
   */
  message(payload: Payload): void

  /**
   * Messages of this topic may be missing between the last call and the next one. Clients get
   * `messages-lost` in this place.
   *
   * @param reason One sentence for the server's log. It is never sent to a client.
   */
  gap(reason: string): void

  /**
   * The subscription has ended, and the driver does not restore it. Clients get
   * `subscription-failure` in this place and are no longer subscribed. The Streamer still calls
   * the subscription's `close` once, so that the driver can release what it holds.
   *
   * @param error For the server's log and events. It is never sent to a client.
   */
  fail(error: Error): void
}

/**
 * What the broker takes a topic's name for. `plain`: one topic, or a name that it refuses.
 * `wildcard`: it stands for several topics. `internal`: the broker, or this package, keeps what is its
 * own there.
 */
export type TopicKind = 'plain' | 'wildcard' | 'internal'

/** What a broker says of a message that it has taken. */
export interface Published {
  /** Where the message stands on the broker, as the broker writes it: a number, or an entry's id. */
  readonly position?: string
}

/** One topic, open on the broker. */
export interface Subscription {
  /**
   * Releases all that this subscription holds, here and on the broker. It settles in bounded time,
   * even if the broker does not answer. The Streamer calls it at most once.
   */
  close(): Promise<void>
}

/** A time in which a driver can't reach its broker. */
export interface BrokerOutage {
  /** Since when, in milliseconds since 1970. */
  readonly since: number
  /** One sentence for the server's log. It is never sent to a client. */
  readonly reason: string
}

/** Whether a driver reaches its broker. The driver kit's `Link` keeps it; `Reach` is for the rest. */
export interface BrokerState {
  /**
   * Undefined while the driver reaches its broker, and before it has first reached it: that a first
   * attempt failed is told by `subscribe`. While it is set, the driver goes on trying by itself,
   * topics or not, so that it changes back without anyone's request.
   */
  readonly down: BrokerOutage | undefined

  /** The Streamer sets it. The driver calls it after each change of `down`. */
  onChange: (() => void) | undefined
}

/**
 * A connection to a broker. A Streamer has one driver, and at most one open subscription per topic.
 * A driver belongs to one Streamer, from the Streamer's making on.
 *
 * Nine rules, which the contract suite in `unifrost/testing` tests:
 *
 * 1. Fan-out, not work sharing: every server process gets every message.
 * 2. When `subscribe` resolves, a message published after that arrives.
 * 3. A topic's messages arrive in the broker's order, once each, their bytes unchanged.
 * 4. `close` leaves nothing behind on the broker.
 * 5. When the connection to the broker breaks, the driver reconnects by itself, with back-off. It
 *    calls `gap` unless it knows that no message was missed. It never crashes the process.
 * 6. For an unknown topic, a missing permission or a bad address, `subscribe` rejects with an error
 *    that says what to do.
 * 7. The driver uses a connection that the application brought as it is, and never closes it.
 * 8. `kindOf` tells names that mean more to the broker than one topic, without asking it.
 * 9. If it has `publish`, what that was given arrives as what another publisher sends, its bytes unchanged.
 */
export interface Driver {
  /**
   * How payloads are sent to clients. `utf8`, the default, sends them as they are and refuses bytes
   * that are not UTF-8. `base64` encodes every payload, also text, since a client could not tell
   * which of them were encoded.
   */
  readonly encoding?: 'utf8' | 'base64'

  /**
   * What this name means to the broker. The middleware takes only `plain` names from a request, unless
   * the application allows others (`wildcards`). It answers at once and does not ask the broker.
   * Default: every name is `plain`.
   */
  kindOf?(topic: string): TopicKind

  /**
   * Whether the broker can be reached, for `health()`, the events `brokerDown` and `brokerUp`, and
   * the log. Undefined for a driver that has no broker, or can't tell.
   */
  readonly brokerState?: BrokerState | undefined

  /**
   * Opens a topic. The Streamer may call it for many topics at once. When it rejects, it has left
   * nothing behind, and the Streamer may try the topic again at once.
   */
  subscribe(topic: string, sink: Sink): Promise<Subscription>

  /**
   * Publishes one message to a topic, as any other publisher would: `subscribe` of the same name hears
   * it, on every server. It settles when the broker has confirmed the message, or has been handed it
   * where brokers confirm nothing. It rejects with an error that says what to do; then the message may
   * have been published all the same. Default: the driver only reads.
   *
   * @returns a {@link Published}, or a promise of it; anything else says that the message was taken.
   */
  publish?(topic: string, payload: string | Uint8Array): unknown

  /**
   * Closes every subscription that is still open and everything the driver opened itself.
   * After it has settled, the driver holds no timer, socket or listener. Calling it again does
   * nothing.
   */
  close(): Promise<void>
}
