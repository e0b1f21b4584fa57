/**
 * The seam to a message broker. Everything a driver may rely on, and everything it must
 * keep, is written here; `unifrost/testing` turns it into a suite that runs against a broker.
 * What a broker with a log adds is in `log.ts`.
 */

/**
 * Where a driver hands over what the broker sends for one topic.
 *
 * A sink may be called as soon as `Driver.subscribe` has been entered, even before its
 * promise settles, synchronously or not, as often as there is something to say. It never
 * throws and never blocks. Calls after the subscription has been closed, or after `fail`,
 * are ignored, so a driver need not guard against a late broker callback.
 */
export interface Sink {
  /**
   * One message, in the order in which the broker gives the messages of this topic.
   *
   * The bytes are copied before the call returns: a driver may reuse its buffer. What the
   * broker delivers again must not be handed over again.
   */
  message(payload: string | Uint8Array): void

  /**
   * The broker, or the link to it, may have lost messages of this topic since the last
   * call, and delivery goes on from here. Clients get `messages-lost` in this place.
   *
   * @param reason One sentence for the server's log. It is never sent to a client.
   */
  gap(reason: string): void

  /**
   * This subscription is over and will not come back by itself. Clients get
   * `subscription-failure` in this place and are no longer subscribed; `close` is still
   * called once on the subscription, so that the driver can let go of what it holds.
   *
   * @param error For the server's log and events. It is never sent to a client.
   */
  fail(error: Error): void
}

/** One topic, open on the broker. */
export interface Subscription {
  /**
   * Lets go of everything this subscription holds, here and on the broker. It settles in
   * bounded time even if the broker does not answer. It is called at most once.
   */
  close(): Promise<void>
}

/**
 * A broker. There is one driver to a Streamer and at most one open subscription to a topic.
 *
 * The seven rules, each a test of the contract suite in `unifrost/testing`:
 *
 * 1. Fan-out, not work sharing: every server process gets every message.
 * 2. When `subscribe` resolves, a message published after that arrives.
 * 3. Order per topic is the broker's; payload bytes are unchanged; no doubles.
 * 4. `close` leaves nothing behind on the broker.
 * 5. When the link breaks, the driver comes back by itself, with back-off, and calls `gap`
 *    where it can't promise that nothing was missed. It never crashes the process.
 * 6. An unknown topic, a lack of permission, a bad address: `subscribe` rejects with an
 *    error that says what to do.
 * 7. A connection that the user brought is used as it is and never closed.
 */
export interface Driver {
  /**
   * How payloads travel in the stream. `utf8`, the default, sends them as they are and
   * refuses bytes that are not UTF-8. `base64` encodes every payload, text too, since a
   * receiver could not tell the two apart.
   */
  readonly encoding?: 'utf8' | 'base64'

  /**
   * Opens a topic. It may be called for many topics at once. When it rejects, it has left
   * nothing behind and the topic may be tried again at once.
   */
  subscribe(topic: string, sink: Sink): Promise<Subscription>

  /**
   * Closes every subscription that is still open and everything the driver opened itself.
   * After it has settled, the driver holds no timer, socket or listener. Calling it again
   * is a no-op.
   */
  close(): Promise<void>
}
