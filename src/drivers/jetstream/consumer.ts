import type { NatsSubscription } from '../../brokers/nats/connection.js'
import { within } from '../../driver-kit/within.js'
import { newInbox, reasonOf } from '../../brokers/nats/jetstream.js'
import type {
  JetStreamConnection,
  JetStreamManager,
  NatsMessage,
} from '../../brokers/nats/jetstream.js'

/** How long a consumer outlives a process that died, in milliseconds. */
const OUTLIVES = 5_000

const NANOSECONDS = 1_000_000

/** What comes from a consumer, in order. */
export interface ConsumerEvents {
  /** @param time When the server stored it, in milliseconds since 1970. */
  message(message: NatsMessage, sequence: number, time: number): void
  /** All that there was for it up to this sequence of the stream has come. */
  idle(sequence: number): void
  /** Whether what came is still to be worked on, so that the server is to wait. Default: never. */
  busy?(): boolean
  /** It has missed something, or is of no use any more: another one has to go on. */
  broken(error?: Error): void
}

export interface ConsumerSettings {
  readonly stream: string
  readonly filter: readonly string[]
  readonly heartbeat: number
}

/**
 * One consumer on the server that pushes what follows a place in the stream, unacknowledged and
 * numbered. It is used until the first break: what comes after is the next one's.
 */
export class StreamConsumer {
  readonly #inbox: string
  readonly #name: string
  #subscription: NatsSubscription | undefined
  /** What has come before the server said that it made the consumer. */
  #held: NatsMessage[] | undefined = []
  #making: Promise<unknown> | undefined
  #delivered = 0
  /** Where the server waits to hear that it may go on. */
  #stalled: string | undefined
  #over = false
  /** When something last came from it. */
  heard = performance.now()
  /** How many messages there were for it when it was made. */
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
   * Makes it on the server, to begin with `sequence`, and gives the one after which it really
   * begins: a later one, where the stream has dropped some. Nothing is handed on before `release`.
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
      // A server before 2.10 takes one only, and by the other name.
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
    } else if (message.headers?.code === 100) {
      this.#status(message)
    } else {
      this.#message(message)
    }
  }

  #message(message: NatsMessage): void {
    const tokens = message.reply?.split('.') ?? []
    // $JS.ACK.stream.consumer.delivered.sequence.number.time.pending, or, where accounts are
    // linked, with the domain and the account before the stream.
    const at = tokens.length > 9 ? 7 : 5
    const [sequence, number, time] = tokens.slice(at, at + 3).map(Number)
    // Anyone may publish to an inbox who knows it.
    if (tokens[1] !== 'ACK' || !sequence || !number || !time) return
    if (number !== this.#delivered + 1) return this.#break()
    this.#delivered = number
    this.events.message(message, sequence, time / NANOSECONDS)
  }

  #status({ headers, reply }: NatsMessage): void {
    // The server waits for an answer before it sends more: what it has sent so far is done.
    this.#stalled = reply || headers?.get('Nats-Consumer-Stalled') || this.#stalled
    if (!this.events.busy?.()) this.proceed()
    if (!headers?.has('Nats-Last-Consumer')) return
    if (Number(headers.get('Nats-Last-Consumer')) !== this.#delivered) return this.#break()
    this.events.idle(Number(headers.get('Nats-Last-Stream')))
  }

  /** Has the server go on, where it waits: what has come is done. */
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
   * Lets go of it, here at once and on the server within `timeout` milliseconds. Whether it is
   * known to be gone; if not, it may be tried again, and the server lets go of it a little later
   * anyway: nobody listens to it any more.
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
    // The server may take up what was sent later first. An answer that is lost never comes.
    if (this.#making) await within(this.#making, patience)
    try {
      await this.manager.consumers.delete(this.settings.stream, this.#name)
    } catch (error) {
      // It says that there is none, or that there is no such stream.
      if (reasonOf(error).kind === 'lost') throw error
    }
    return 'deleted'
  }
}
