import { hasLoss, nextStep } from './catch-up.js'
import type { Client } from './client.js'
import type { Timers } from './clock.js'
import type { Connection } from './connection.js'
import type { Encoded } from './encode.js'
import { encodeEvent, isSendable } from './encode.js'
import type { HistoryBounds } from './history.js'
import { History } from './history.js'
import type { WireErrorCode } from './messages.js'
import { configMessage, errorMessage } from './messages.js'
import { Replays } from './merge.js'
import { Outbox } from './outbox.js'
import { formatPosition, parsePosition } from './position.js'
import type { Topic } from './topic.js'

/** How a connection went on from where its client said that it was. */
export type Resume = 'exact' | 'lost' | 'unknown-position'

/** What a first message tells beside the subscriptions. */
export interface Greeting {
  config: Parameters<typeof configMessage>[0]
  retry: number
}

const NOT_UTF8 =
  'A message of this topic is not UTF-8 and was refused. The server can send such topics in base64.'

/**
 * From the broker's message to the connections: numbers it, keeps it, and sees to it that each
 * client gets what is its own, in order, from wherever it stands.
 */
export class Delivery {
  readonly history: History
  private readonly outbox = new Outbox()
  private readonly replays: Replays
  private caughtUp = 0
  private expiring = false

  constructor(
    /** Names this numbering. */
    readonly epoch: string,
    bounds: HistoryBounds,
    private readonly timers: Timers,
    private readonly encoding: 'utf8' | 'base64',
    private readonly onLost: (client: Client, topic: string) => void,
  ) {
    this.history = new History(bounds, (frame) => {
      if (frame.number > this.outbox.delivered) this.outbox.flush()
    })
    this.replays = new Replays(this.history)
  }

  /** Everybody who keeps up has been given everything through this number. */
  get delivered(): number {
    return this.outbox.delivered
  }

  /** Topic events handed to connections, counted once for each client. */
  get sent(): number {
    return this.outbox.sent + this.caughtUp
  }

  /** Takes a message of a topic. @returns whether it could be sent as it is. */
  receive(topic: Topic, payload: string | Uint8Array): boolean {
    if (this.encoding === 'base64') {
      const data = Buffer.from(payload as Uint8Array).toString('base64')
      this.append(topic, (id) => encodeEvent({ id, event: topic.name, data }))
    } else if (isSendable(payload)) {
      this.append(topic, (id) => encodeEvent({ id, event: topic.name, data: payload }))
    } else {
      this.tell(topic, 'subscription-failure', NOT_UTF8)
      return false
    }
    return true
  }

  /** Puts an error into a topic's history, so that everybody gets it in its place. */
  tell(topic: Topic, code: WireErrorCode, message?: string): number {
    const error = { code, topic: topic.name, ...(message !== undefined && { message }) }
    return this.append(topic, (id) => errorMessage(error, { id }))
  }

  /** Gives everybody who keeps up what has arrived. Call it before a client's topics change. */
  flush(): void {
    this.outbox.flush()
  }

  /** Forgets a topic's frames. */
  drop(topic: Topic): void {
    this.flush()
    this.history.drop(topic.log)
  }

  /** The number that a position names in this numbering, or undefined if it names none. */
  locate(position: string): number | undefined {
    const number = parsePosition(this.epoch, position)
    return number !== undefined && number <= this.history.last ? number : undefined
  }

  /**
   * Opens a client's stream on a new connection: the first message, what it missed, and from
   * then on what arrives.
   *
   * @param position What the client says it got last. Without, it goes on after what was last
   *   written to it.
   */
  start(
    client: Client,
    connection: Connection,
    position: string | undefined,
    greeting: Greeting,
  ): Resume | undefined {
    this.flush()
    const named = position === undefined ? undefined : this.locate(position)
    const number = named !== undefined && named < client.forgottenThrough ? undefined : named
    client.connection = connection
    client.cursor = number ?? client.position
    client.live = false
    if (position !== undefined && number === undefined) {
      this.startAnew(client, connection, greeting)
      return 'unknown-position'
    }
    if (number !== undefined) doubtWhatWasTold(client, number)
    client.ended = client.ended.filter((membership) => {
      if (membership.endedAt! > client.cursor) return true
      membership.topic.leave(membership)
      return false
    })
    const id = formatPosition(this.epoch, client.cursor)
    connection.write(configMessage(greeting.config, client.topics, { id, retry: greeting.retry }))
    const resume = number === undefined ? undefined : hasLoss(client) ? 'lost' : 'exact'
    this.catchUp(client)
    return resume
  }

  /** Has a client that keeps up look again: something older is to be sent to it first. */
  goBack(client: Client): void {
    client.cursor = client.position
    client.live = false
    this.catchUp(client)
  }

  /** Brings a client that is behind to the present, as far as its connection takes it. */
  catchUp(client: Client): void {
    this.flush()
    const connection = client.connection
    while (connection !== undefined && !connection.full && !client.live) {
      const step = nextStep(client, this.replays)
      if (step === undefined) {
        client.live = true
      } else if (step.kind === 'lost') {
        connection.write(errorMessage({ code: 'messages-lost', topic: step.topic }))
        this.onLost(client, step.topic)
      } else {
        if (connection.write(step.batch) === 'closed') return
        client.cursor = Math.max(client.cursor, step.batch.last)
        this.caughtUp += step.batch.events
      }
    }
  }

  /**
   * For a client whose position says nothing to us: everything may be missing. The position
   * that it is given stands in the last message that says so; were it in the first, a client
   * cut off in between would come back as if it knew.
   */
  private startAnew(client: Client, connection: Connection, greeting: Greeting): void {
    client.cursor = this.delivered
    const id = formatPosition(this.epoch, client.cursor)
    const memberships = client.readable()
    const lost = [...new Set(memberships.map(({ topic }) => topic.name))]
    // What was to come after a rewind comes with it, or it would be missing behind the rewind.
    for (const membership of memberships) {
      if (membership.rewind !== undefined) membership.since = client.cursor
    }
    const fields = { id: lost.length === 0 ? id : undefined, retry: greeting.retry }
    connection.write(configMessage(greeting.config, client.topics, fields))
    for (const [index, topic] of lost.entries()) {
      const last = index === lost.length - 1
      connection.write(
        errorMessage({ code: 'messages-lost', topic }, { id: last ? id : undefined }),
      )
      this.onLost(client, topic)
    }
    this.catchUp(client)
  }

  private append(topic: Topic, encode: (id: string) => Encoded): number {
    const now = this.timers.clock.now()
    const frame = this.history.append(topic.log, now, (number) =>
      encode(formatPosition(this.epoch, number)),
    )
    this.outbox.add(topic, frame)
    this.history.enforce(topic.log)
    if (!this.expiring) this.expireLater(now)
    return frame.number
  }

  private expireLater(now: number): void {
    const due = this.history.expire(now)
    this.expiring = due !== undefined
    if (due === undefined) return
    this.timers.after(due - now, () => this.expireLater(this.timers.clock.now()))
  }
}

/** A loss that was told after this position may not have arrived, so it is to be told again. */
function doubtWhatWasTold(client: Client, position: number): void {
  for (const membership of client.readable()) {
    if (membership.told !== undefined && position <= membership.told.at) membership.told = undefined
  }
}
