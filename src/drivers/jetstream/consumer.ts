import type { NatsSubscription } from '../../brokers/nats/connection.js'
import { within } from '../../driver-kit/index.js'
import { headersOf, newInbox, reasonOf } from '../../brokers/nats/jetstream.js'
import type {
  JetStreamConnection,
  JetStreamManager,
  NatsMessage,
} from '../../brokers/nats/jetstream.js'

/** How long a consumer outlives a process that died, in milliseconds. */
const OUTLIVES = 5_000

const NANOSECONDS = 1_000_000

/** What a consumer tells, in order. */
export interface ConsumerEvents {
  /** @param time When the server stored it, in milliseconds since 1970. */
  message(message: NatsMessage, sequence: number, time: number): void
  /** Everything for this consumer up to this sequence of the stream has arrived. */
  idle(sequence: number): void
  /** Whether earlier messages are still being worked on, so that the server has to wait. Default: no. */
  busy?(): boolean
  /** The consumer has missed something or is of no more use. Another one has to go on. */
  broken(error?: Error): void
}

export interface ConsumerSettings {
  readonly stream: string
  readonly filter: readonly string[]
  readonly heartbeat: number
}

/**
 * One consumer on the server. It pushes the messages after a place in the stream, numbered and without
 * acknowledgements. It is used until the first break; a new one goes on after that.
 */
export class StreamConsumer {
  readonly #inbox: string
  readonly #name: string
  #subscription: NatsSubscription | undefined
  /** Messages that arrived before `release`. Undefined after that. */
  #held: NatsMessage[] | undefined = []
  #making: Promise<unknown> | undefined
  #delivered = 0
  /** The subject on which the server waits to hear that it may go on. */
  #stalled: string | undefined
  #over = false
  /** When the server last sent something, by `performance.now()`. */
  heard = performance.now()
  /** How many messages there were for the consumer when it was made. */
  pending = 0

  constructor(
    private readonly connection: JetStreamConnection,
    private readonly manager: JetStreamManager,
    private readonly settings: ConsumerSettings,
    private readonly events: ConsumerEvents,
  ) {
    this.#inbox = newInbox(connection)
    this.#name = `unifrost-${this.#inbox.slice(-32)}`
  }

  /**
   * Makes the consumer on the server, to begin with `sequence`. Nothing is handed on before `release`.
   *
   * @returns the sequence after which it begins: `sequence - 1`, or a later one where the stream has
   *   dropped messages. An example: asked for 5 in a stream that has 8 to 12, it gives 7.
   */
  async open(sequence: number): Promise<number> {
    const { stream, filter, heartbeat } = this.settings
    const [only, ...more] = filter
    let refused: ((error: Error) => void) | undefined
    const refusal = new Promise<never>((_, reject) => (refused = reject))
    this.#subscription = this.connection.subscribe(this.#inbox, {
      callback: (error, message) => {
        if (!error) return this.#take(message)
        refused?.(error)
        this.#break(error)
      },
    })
    const made = this.manager.consumers.add(stream, {
      name: this.#name,
      description: 'unifrost',
      deliver_subject: this.#inbox,
      deliver_policy: 'by_start_sequence',
      opt_start_seq: sequence,
      ack_policy: 'none',
      max_deliver: 1,
      replay_policy: 'instant',
      flow_control: true,
      idle_heartbeat: heartbeat * NANOSECONDS,
      inactive_threshold: OUTLIVES * NANOSECONDS,
      mem_storage: true,
      num_replicas: 1,
      // A server before 2.10 takes one subject only, in the field of the other name.
      ...(only === undefined
        ? {}
        : more.length
          ? { filter_subjects: filter }
          : { filter_subject: only }),
    })
    this.#making = made
    const { delivered, num_pending } = await Promise.race([made, refusal])
    this.pending = num_pending
    this.heard = performance.now()
    return delivered.stream_seq
  }

  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const message of held) this.#take(message)
  }

  #take(message: NatsMessage): void {
    if (this.#over) return
    this.heard = performance.now()
    if (this.#held) {
      this.#held.push(message)
      return
    }
    // What is of the protocol is told by where it arrives. Headers may be a publisher's.
    const tokens = message.reply?.split('.') ?? []
    if (tokens[1] === 'ACK') this.#message(message, tokens)
    else if (message.subject === this.#inbox) this.#status(headersOf(message), message.reply)
  }

  #message(message: NatsMessage, tokens: readonly string[]): void {
    // $JS.ACK.stream.consumer.delivered.sequence.number.time.pending, or, where accounts are
    // linked, with the domain and the account before the stream.
    const at = tokens.length > 9 ? 7 : 5
    const [sequence, number, time] = tokens.slice(at, at + 3).map(Number)
    // Anyone who knows the inbox may publish to it.
    if (!sequence || !number || !time) return
    if (number !== this.#delivered + 1) return this.#break()
    this.#delivered = number
    this.events.message(message, sequence, time / NANOSECONDS)
  }

  #status(headers: NatsMessage['headers'], reply: string | undefined): void {
    if (headers?.code !== 100) return
    // The server may wait for an answer before it sends more.
    this.#stalled = reply || headers.get('Nats-Consumer-Stalled') || this.#stalled
    if (!this.events.busy?.()) this.proceed()
    if (!headers.has('Nats-Last-Consumer')) return
    if (Number(headers.get('Nats-Last-Consumer')) !== this.#delivered) return this.#break()
    this.events.idle(Number(headers.get('Nats-Last-Stream')))
  }

  /** Lets the server go on, if it waits. */
  proceed(): void {
    const answer = this.#stalled
    this.#stalled = undefined
    if (answer !== undefined && !this.#over && !this.connection.isDraining()) {
      this.connection.publish(answer)
    }
  }

  #break(error?: Error): void {
    if (this.#over) return
    this.#over = true
    this.events.broken(error)
  }

  /**
   * Lets go of the consumer, here at once and on the server within `timeout` milliseconds.
   *
   * @returns whether it is known to be gone. If not, the call may be repeated; the server deletes a
   *   consumer to which nobody listens after a few seconds by itself.
   */
  async close(timeout: number): Promise<boolean> {
    this.#over = true
    this.#held = undefined
    if (!this.#subscription) return true
    if (this.connection.isClosed()) return false
    this.#subscription.unsubscribe()
    const outcome = await within(this.#delete(timeout / 2), timeout)
    return outcome === 'deleted'
  }

  async #delete(patience: number): Promise<'deleted'> {
    // The server may handle the deletion before the creation, so wait for that one first. Its answer
    // may be lost, so do not wait for ever.
    if (this.#making) await within(this.#making, patience)
    try {
      await this.manager.consumers.delete(this.settings.stream, this.#name)
    } catch (error) {
      // Any answer of the server says that there is no such consumer, or no such stream.
      if (reasonOf(error).kind === 'lost') throw error
    }
    return 'deleted'
  }
}
