/** What an {@link Attachment} hands over to: a `Sink`, or the events of a source. */
export interface Receiver<Args extends unknown[]> {
  message(...args: Args): void
  gap(reason: string): void
}

/**
 * How one topic hangs on a link that may be lost and come back.
 *
 * It keeps the one order that matters: **a gap stands before the first message that follows it**. A
 * client that reads `messages-lost` throws away what it has and asks anew; a message that it got
 * before that word, though it was published behind the hole, would be thrown away with the rest.
 *
 * An example. The client has messages 1 and 2, the link is lost, 3 is published and goes nowhere,
 * the link is back, 4 is published. The broker may hand over 4 before it confirms that it delivers
 * again: both come from it at once, and libraries often tell a confirmation one turn later than a
 * message. `1 2 4 gap` would say that something is missing after 4, which is wrong. So `message`
 * tells the gap first: `1 2 gap 4`.
 *
 * Nothing is told for a break before the broker has first confirmed the topic: nobody has been
 * promised anything by then.
 */
export class Attachment<Args extends unknown[]> {
  #isLive = false
  #missed: string | undefined

  constructor(private readonly receiver: Receiver<Args>) {}

  /** Whether the broker has delivered this topic, or confirmed it, at least once. */
  get isLive(): boolean {
    return this.#isLive
  }

  /**
   * The link was lost, or is back and the broker may not know yet what it is to deliver. What is
   * published from now on may be missed.
   *
   * @param reason One sentence for the server's log. Of several before the gap, the last is told.
   */
  missed(reason: string): void {
    if (this.#isLive) this.#missed = reason
  }

  /** The broker has confirmed the topic, for the first time or again: from now on nothing is missed. */
  restored(): void {
    this.#isLive = true
    const reason = this.#missed
    if (reason === undefined) return
    this.#missed = undefined
    this.receiver.gap(reason)
  }

  /** Hands a message over, after the gap that stands before it, if there is one. */
  message(...args: Args): void {
    this.restored()
    this.receiver.message(...args)
  }
}
