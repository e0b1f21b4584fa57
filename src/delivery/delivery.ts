import type { Timer, Timers } from '../clock.js'
import type { Payload } from '../driver.js'
import type { Encoded } from '../wire/encode.js'
import type { Frame } from '../wire/frame.js'
import { Batch } from '../wire/frame.js'
import type { Encoding, Refusal, WireErrorCode } from '../wire/messages.js'
import {
  endMessage,
  errorMessage,
  refusalOf,
  refusedMessage,
  topicMessage,
  writtenName,
} from '../wire/messages.js'
import type { Position } from '../wire/position.js'
import { UNKNOWN_POSITION } from '../wire/position.js'
import { SEAL_SLACK } from '../wire/seal.js'
import { Broadcast } from './broadcast.js'
import type { Step } from './catch-up.js'
import { hasLoss, nextStep, unsent } from './catch-up.js'
import type { Client } from './client.js'
import type { Connection } from './connection.js'
import type { HistoryBounds } from './history.js'
import { History, TopicHistory } from './history.js'
import { writeEnds, writeKept } from './kept-replay.js'
import { Membership } from './membership.js'
import { Numbering } from './numbering.js'
import { Pauses } from './pauses.js'
import { Replays } from './replays.js'
import type { Opening, Resume, ResumeHost } from './resume.js'
import { resume } from './resume.js'
import { Timings } from './timings.js'
import type { LogPlace, TopicHost } from './topic.js'
import { Topic } from './topic.js'

/** What a delivery is made of. */
export interface DeliveryParts {
  readonly bounds: HistoryBounds
  readonly timers: Timers
  readonly encoding: Encoding
  /** The largest message that is sent. */
  readonly maxMessageBytes: number
  /** The event name of info messages. */
  readonly infoEvent: string
  /** The option `secret`. */
  readonly secret?: string | undefined
  /** How long a topic's messages may wait to be written together, in milliseconds. */
  delayOf(topic: string): number
  /** How long after it was given out a request may name a position, in milliseconds. */
  readonly positionLife: number
  readonly host: DeliveryHost
}

/** What a delivery tells its Streamer. */
export interface DeliveryHost {
  /** A client was told that something of a topic is missing. */
  lost(client: Client, topic: string): void
  /** A connection that named a position goes on from it so. */
  resumed(resume: Resume): void
  /** The driver's log could not be read for clients that are behind. */
  replayFailed(error: unknown): void
  /** Whether an entry that is read again is its topic's last one, which ends the topic here. */
  endsWith(topic: string, payload: Payload): boolean
  /** A message as the filter of its topic is given it; undefined where there is none. */
  filtered(topic: string, payload: Payload): string | Uint8Array | undefined
}

/**
 * From the broker's message to the connections: numbers it, keeps it, and gives each client its
 * own, in order, from wherever it stands.
 *
 * This one numbers the frames itself. For a driver with a log, {@link LogDelivery} takes the log's
 * numbers.
 */
export class Delivery implements ResumeHost {
  readonly history: History
  readonly timings = new Timings()
  protected readonly broadcast: Broadcast
  protected readonly replays: Replays
  private readonly pauses: Pauses
  protected readonly timers: Timers
  protected readonly delayOf: (topic: string) => number
  private readonly encoding: Encoding
  private readonly maxMessageBytes: number
  private readonly positionLife: number
  /** As it is written. */
  readonly infoEvent: string | undefined
  protected readonly host: DeliveryHost
  private readonly step = (client: Client): Step | undefined => this.nextStep(client)
  /** Topic events handed to connections beside those of the broadcast. */
  caughtUp = 0
  /** Lets go of what is too old, when the next frame is. */
  private expiring: Timer | undefined = undefined

  constructor(
    {
      bounds,
      timers,
      encoding,
      maxMessageBytes,
      infoEvent,
      delayOf,
      positionLife,
      host,
    }: DeliveryParts,
    protected readonly numbering = new Numbering(),
  ) {
    this.timers = timers
    this.broadcast = new Broadcast(timers, this.timings)
    this.delayOf = delayOf
    this.encoding = encoding
    this.maxMessageBytes = maxMessageBytes
    this.infoEvent = writtenName(infoEvent)
    this.positionLife = positionLife
    this.host = host
    this.history = new History(bounds, (frame) => {
      if (frame.number > this.broadcast.delivered) this.broadcast.flush()
    })
    this.replays = new Replays(this.history)
    this.pauses = new Pauses(timers, (client) => this.catchUp(client))
  }

  /** Every live client has been given everything through this number. */
  get delivered(): number {
    return this.broadcast.delivered
  }

  /** Topic events handed to connections, counted once for each client. */
  get sent(): number {
    return this.broadcast.sent + this.caughtUp
  }

  /** What to wait for before there can be clients, or undefined. @throws LogUnavailableError */
  ready(): Promise<void> | undefined {
    return undefined
  }

  newTopic(name: string, host: TopicHost): Topic {
    const topic = new Topic(name, host, new TopicHistory(this.history.last, name))
    topic.delay = this.delayOf(name)
    return topic
  }

  /**
   * The position behind all that has arrived, for a page's data. It takes a number: a topic that is
   * opened after it begins behind it, so that nobody takes for complete what this server did not hear.
   *
   * @param topics All that are open or being opened.
   */
  handOut(topics: readonly Topic[]): string {
    this.flush()
    const { position, delivered } = this
    // The broker may not have begun to send these.
    for (const topic of topics) if (!topic.isOpen) topic.unheardThrough = delivered
    this.skip()
    return position
  }

  /** A subscription that counts from now. */
  newMembership(client: Client, topic: Topic): Membership {
    return new Membership(client, topic, this.history.last)
  }

  /** Takes a message of a topic. @returns why it is not sent, or undefined where it is. */
  receive(topic: Topic, payload: Payload, _place?: LogPlace): Refusal | undefined {
    const refusal = this.refusalOf(payload)
    const encode = (number: number) =>
      this.encode(topic.name, payload, refusal, this.numbering.format(number))
    const frame = this.add(topic, encode, undefined, filtered(topic, payload, refusal))
    topic.keeping?.took(frame, payload, refusal)
    this.history.enforce(topic.history)
    return refusal
  }

  /** Puts an error into a topic's history, so that every client gets it in its place. */
  tell(topic: Topic, code: WireErrorCode): number {
    const error = { code, topic: topic.name }
    return this.append(topic, (number) => this.errorMessage(error, this.numbering.format(number)))
      .number
  }

  /** Puts the end of a topic into its history. */
  tellEnd(topic: Topic): void {
    topic.endedAt = this.append(topic, (number) =>
      this.endMessage(topic.name, this.numbering.format(number)),
    ).number
  }

  /** Tells the clients of a topic that messages may be missing here. */
  tellGap(topic: Topic, _through?: number): void {
    const place = this.tell(topic, 'messages-lost')
    topic.keeping?.missed(place)
  }

  /** Gives every live client what has arrived. Call it before a client's topics change. */
  flush(): void {
    this.broadcast.flush()
  }

  /**
   * Forgets a topic's frames. It takes a number: a topic that is opened anew begins behind it, so
   * whoever names a position from before is told that messages may be missing. An example: the
   * newest frame is 7 when a topic is closed, which takes 8. A client at 7 that comes back when the
   * topic is open again has missed what came between.
   */
  drop(topic: Topic): void {
    this.flush()
    this.history.drop(topic.history)
    this.skip()
  }

  format({ number, tie, replay }: Position): string {
    return this.numbering.format(number, tie, replay)
  }

  again(position: string, named: Position): string {
    return this.numbering.ageOf(position) === undefined ? this.format(named) : position
  }

  /** The position behind everything that live clients have. */
  get position(): string {
    return this.numbering.format(this.delivered)
  }

  /** What a text names in this numbering, whether it has been read here or not. */
  parse(position: string): Position | undefined {
    return this.numbering.parse(position)
  }

  /**
   * Whether a position that a request names was given out by us, and lately enough: the numbers of
   * a log reach far back. A client that goes with its connection goes on after no other one.
   */
  vouchesFor(position: string): boolean {
    const age = this.numbering.ageOf(position)
    return age !== undefined && age <= this.positionLife
  }

  /** Whether a position was surely given out after a time, in milliseconds since 1970. */
  wasGivenOutAfter(position: string, time: number): boolean {
    const age = this.numbering.ageOf(position)
    return age !== undefined && Date.now() - age - SEAL_SLACK > time
  }

  /** What a position names that has been read here, or undefined where it names nothing. */
  locate(position: string): Position | undefined {
    const named = this.parse(position)
    // How far a replay is says from where on it is sent, so nobody may make that up.
    if (named?.replay !== undefined && this.numbering.ageOf(position) === undefined)
      return undefined
    return named !== undefined && named.number <= this.delivered ? named : undefined
  }

  /** Waits for a position that has not been read here; undefined where there is nothing to wait for. */
  reach(_position: string): Promise<unknown> | undefined {
    return undefined
  }

  /** Opens a client's stream on a new connection, after a position where it names one. */
  start(opening: Opening): void {
    this.flush()
    opening.client.attach(opening.connection)
    if (opening.asked !== undefined) this.timings.open(opening.connection)
    resume(this, opening)
  }

  /** Something older is to be sent to a live client first. */
  goBack(client: Client): void {
    client.fallBehind()
    this.catchUp(client)
  }

  /** Brings a client that is behind to the present, as far as its connection takes it. */
  catchUp(client: Client): void {
    this.bring(client, this.step)
  }

  /** The position to name to a client that has nothing else to hear; undefined where there is none. */
  heartbeatFor(_client: Client): string | undefined {
    return undefined
  }

  /** What a client would name that has got all that was written to it. */
  positionOf(client: Client): string {
    return this.format(client.place)
  }

  /** From where a subscription counts, for another server; null where it can't use that. */
  sinceOf(_membership: Membership): string | null {
    return null
  }

  /**
   * Where a client goes on that was on another server, and names this position. A position of ours
   * is from before that: nobody knows what the client missed since.
   */
  placeAfterMove(named: string): string {
    return this.parse(named) === undefined ? named : UNKNOWN_POSITION
  }

  /**
   * Tells a client that is about to be removed of the topics of which something has not been
   * written to it: it comes before the goodbye, and nothing follows.
   */
  tellUnsent(client: Client): void {
    for (const topic of unsent(client)) {
      client.connection?.write(this.errorMessage({ code: 'messages-lost', topic }))
      this.lost(client, topic)
    }
  }

  lost(client: Client, topic: string): void {
    this.host.lost(client, topic)
  }

  resumedAt(client: Client): void {
    this.host.resumed(hasLoss(client) ? 'lost' : 'exact')
  }

  resumedAnew(): void {
    this.host.resumed('unknown-position')
  }

  /** Nothing is sent to anybody any more. */
  stop(): void {
    // What is read for clients stops with them.
  }

  /** Takes a number that no frame has. */
  protected skip(): void {
    this.broadcast.advance(++this.history.last)
  }

  protected nextStep(client: Client): Step | undefined {
    return nextStep(client, this.replays)
  }

  /** Writes steps to a client, as long as there are some and it takes them. */
  protected bring(client: Client, next: (client: Client) => Step | undefined): void {
    this.flush()
    const { connection } = client
    if (!client.readable || connection === undefined || this.pauses.has(connection)) return
    while (!connection.full && !client.live) {
      if (client.awaitsKept && !writeKept(this, client)) return
      const step = next(client)
      if (step === undefined && client.awaitsEnd) {
        if (!writeEnds(this, client)) return
      } else if (step === undefined) {
        this.report(client, 'exact')
        this.timings.arrive(connection)
        if (this.pauses.begin(client, connection)) return
        client.arrive()
      } else if (step.kind === 'lost') {
        connection.write(this.errorMessage({ code: 'messages-lost', topic: step.topic }))
        this.lost(client, step.topic)
        this.report(client, 'lost')
      } else if (step.kind === 'batch') {
        if (connection.write(step.batch) === 'closed') return
        client.advance(step.batch.last)
        this.caughtUp += step.batch.events
      } else if (step.kind === 'replay') {
        if (!this.replay(client, connection, step.membership, step.frames)) return
      } else {
        return
      }
    }
  }

  /** A topic's message with its id, or what stands for one that is refused. */
  protected encode(
    topic: string,
    payload: Payload,
    refusal: Refusal | undefined,
    id?: string,
  ): Encoded {
    return refusal === undefined
      ? topicMessage(this.encoding, topic, payload, id)
      : refusedMessage(refusal, topic, { id, event: this.infoEvent })
  }

  /** A topic's state that the application has loaded, for one client. */
  encodeSnapshot(topic: string, payload: Payload): Encoded {
    return this.encode(topic, payload, this.refusalOf(payload))
  }

  /** An error message under the name of info messages. */
  errorMessage(error: Parameters<typeof errorMessage>[0], id?: string): Encoded {
    return errorMessage(error, { id, event: this.infoEvent })
  }

  /** The end of a topic under the name of info messages. */
  endMessage(topic: string, id?: string): Encoded {
    return endMessage(topic, { id, event: this.infoEvent })
  }

  protected refusalOf(payload: Payload): Refusal | undefined {
    return refusalOf(this.encoding, payload, this.maxMessageBytes)
  }

  protected append(topic: Topic, encode: (number: number) => Encoded, number?: number): Frame {
    const frame = this.add(topic, encode, number)
    this.history.enforce(topic.history)
    return frame
  }

  /** Keeps a frame and has it sent. The caller holds the topic to its bounds. */
  protected add(
    topic: Topic,
    encode: (number: number) => Encoded,
    number?: number,
    message?: string | Uint8Array,
  ): Frame {
    const now = this.timers.clock.now()
    const frame = this.history.append(topic.history, now, encode, number, message)
    this.broadcast.add(topic, frame)
    const { maxAge = Infinity } = topic.history
    if (this.expiring === undefined || now + maxAge < this.expiring.due) this.expireLater(now)
    return frame
  }

  /** Writes older frames of one topic, each with an id that says so. @returns whether it could. */
  private replay(
    client: Client,
    connection: Connection,
    membership: Membership,
    frames: readonly Frame[],
  ): boolean {
    const { serial } = membership.replay!
    const { number, tie } = client.place
    const topic = membership.topic.name
    const batch = Batch.withIds(frames, ({ number: through }) =>
      // An entry of our own between two of a log has no position.
      Number.isInteger(through)
        ? this.numbering.format(number, tie, { serial, through, topic })
        : undefined,
    )
    if (connection.write(batch) === 'closed') return false
    membership.advanceReplay(frames.at(-1)!.number)
    this.caughtUp += batch.events
    return true
  }

  private report(client: Client, how: Resume): void {
    if (client.takeReport()) this.host.resumed(how)
  }

  private expireLater(now: number): void {
    const due = this.history.expire(now)
    this.timers.cancel(this.expiring)
    this.expiring =
      due === undefined
        ? undefined
        : this.timers.after(due - now, () => this.expireLater(this.timers.clock.now()))
  }
}

/** A message as its topic's filter is given it; undefined where everybody is sent what there is. */
export function filtered(
  { keeping }: Topic,
  payload: Payload,
  refusal: Refusal | undefined,
): string | Uint8Array | undefined {
  return refusal === undefined ? keeping?.filtered(payload) : undefined
}
