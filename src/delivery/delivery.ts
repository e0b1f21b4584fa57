import { nextStep } from './catch-up.js'
import type { Client } from './client.js'
import type { Timers } from '../clock.js'
import type { Encoded } from '../wire/encode.js'
import type { HistoryBounds, TopicLog } from './history.js'
import { History } from './history.js'
import type { Membership } from './membership.js'
import type { WireErrorCode } from '../wire/messages.js'
import { errorMessage } from '../wire/messages.js'
import { Replays } from './replays.js'
import type { Numbering } from './numbering.js'
import { Broadcast } from './broadcast.js'
import type { Encoding } from '../wire/messages.js'
import { isAccepted, refusedMessage, topicMessage } from '../wire/messages.js'
import type { Position } from '../wire/position.js'
import { numberBefore, numberBetween } from '../wire/position.js'
import { LogReplay } from './log-replay.js'
import type { Opening, Resume, ResumeHost } from './resume.js'
import { locate, resume } from './resume.js'
import type { Topic } from './topic.js'
import type { LogSegment } from './log-segment.js'

/** What is told of the delivery. */
export interface DeliveryHost {
  /** A client was told that something of a topic is missing. */
  lost(client: Client, topic: string): void
  /** A connection that named a position goes on from it so. */
  resumed(resume: Resume): void
  /** The driver's log could not be read for those who are behind. */
  refillFailed(error: unknown): void
}

/**
 * From the broker's message to the connections: numbers it, keeps it, and sees to it that each
 * client gets what is its own, in order, from wherever it stands.
 */
export class Delivery {
  readonly history: History
  private readonly broadcast = new Broadcast()
  private readonly replays: Replays
  private readonly refills: LogReplay | undefined
  private readonly resuming: ResumeHost
  /** Topics that wait for the others which an entry goes to: nobody is given a part of it. */
  private readonly unbounded: TopicLog[] = []
  private caughtUp = 0
  private expiring = false

  constructor(
    readonly numbering: Numbering,
    bounds: HistoryBounds,
    private readonly timers: Timers,
    private readonly encoding: Encoding,
    private readonly host: DeliveryHost,
  ) {
    this.history = new History(bounds, (frame) => {
      if (frame.number > this.broadcast.delivered) this.broadcast.flush()
    })
    this.replays = new Replays(this.history)
    const { log } = numbering
    this.refills =
      log &&
      new LogReplay(log, timers, {
        encode: (topic, payload, number, tie) => {
          const id = numbering.format(number, tie ? topic : undefined)
          if (!isAccepted(encoding, payload)) return refusedMessage(topic, id)
          return topicMessage(encoding, topic, payload, id)
        },
        flush: () => this.flush(),
        catchUp: (client, window) => this.catchUp(client, window),
        failed: (error) => host.refillFailed(error),
      })
    const { broadcast } = this
    this.resuming = {
      ...host,
      numbering,
      get delivered() {
        return broadcast.delivered
      },
      flush: () => this.flush(),
      catchUp: (client) => this.catchUp(client),
      positionOf: (client) => this.positionOf(client),
    }
  }

  /** Everybody who keeps up has been given everything through this number. */
  get delivered(): number {
    return this.broadcast.delivered
  }

  /** Topic events handed to connections, counted once for each client. */
  get sent(): number {
    return this.broadcast.sent + this.caughtUp
  }

  /** What to wait for before there can be clients, or undefined. @throws LogUnavailableError */
  ready(): Promise<void> | undefined {
    return this.numbering.ready(() => this.flush())
  }

  /**
   * Takes a message of a topic; from a log, with its number there, and whether other topics get
   * it too. @returns whether it could be sent as it is.
   */
  receive(topic: Topic, payload: string | Uint8Array, number?: number, shared?: boolean): boolean {
    const { encoding } = this
    const accepted = isAccepted(encoding, payload)
    const encode = accepted
      ? (id: string) => topicMessage(encoding, topic.name, payload, id)
      : (id: string) => refusedMessage(topic.name, id)
    this.append(topic, encode, number, shared)
    return accepted
  }

  /** Puts an error into a topic's history, so that everybody gets it in its place. */
  tell(topic: Topic, code: WireErrorCode): number {
    const error = { code, topic: topic.name }
    if (this.numbering.log === undefined)
      return this.append(topic, (id) => errorMessage(error, { id }))
    // No other server knows of it, so there is no position behind it.
    return this.append(topic, () => errorMessage(error), this.numberOfOurs(topic))
  }

  /** Gives everybody who keeps up what has arrived. Call it before a client's topics change. */
  flush(): void {
    this.broadcast.flush()
    const { log } = this.numbering
    if (log === undefined || log.position <= this.history.last) return
    this.history.last = log.position
    this.broadcast.advance(log.position)
  }

  /** Forgets a topic's frames. */
  drop(topic: Topic): void {
    this.flush()
    this.history.drop(topic.log)
  }

  /** What a position names in this numbering, or undefined if it names nothing in it. */
  locate(position: string): Position | undefined {
    return locate(this.resuming, position)
  }

  /** Waits for a position of the log that has not been read here; undefined where it has been. */
  reach(position: string): Promise<unknown> | undefined {
    this.flush()
    const { log } = this.numbering
    const number = this.numbering.parse(position)?.number ?? 0
    return number > this.delivered ? log?.reach(number) : undefined
  }

  /** Opens a client's stream on a new connection, after a position where it names one. */
  start(opening: Opening): void {
    resume(this.resuming, opening)
  }

  /** Has a client that keeps up look again: something older is to be sent to it first. */
  goBack(client: Client): void {
    client.cursor = client.position
    client.live = false
    this.catchUp(client)
  }

  /**
   * Brings a client that is behind to the present, as far as its connection takes it.
   *
   * @param window What was read from the log, for those who lack it.
   */
  catchUp(client: Client, window?: LogSegment): void {
    this.flush()
    const { connection } = client
    if (!client.greeted || client.suspended) return
    while (connection !== undefined && !connection.full && !client.live) {
      const step = nextStep(client, this.replays, window)
      if (step === undefined) {
        client.live = true
        this.resumed(client, 'exact')
      } else if (step.kind === 'lost') {
        connection.write(errorMessage({ code: 'messages-lost', topic: step.topic }))
        this.host.lost(client, step.topic)
        this.resumed(client, 'lost')
      } else if (step.kind === 'batch') {
        if (connection.write(step.batch) === 'closed') return
        client.cursor = Math.max(client.cursor, step.batch.last)
        this.caughtUp += step.batch.events
      } else {
        if (step.kind === 'unopened') return
        client.cursor = Math.max(client.cursor, step.through)
        if (window === undefined) this.refills?.ask(client)
        return
      }
    }
  }

  /** The position to name to a client that has nothing else to hear; undefined without a log. */
  heartbeatFor(client: Client): string | undefined {
    if (this.numbering.log === undefined || !client.live) return undefined
    this.flush()
    return client.live ? this.positionOf(client) : undefined
  }

  /** What a client would name that has got all that was written to it. */
  positionOf({ position, outdated }: Client): string {
    const known = outdated === undefined || position >= outdated.until
    return known ? this.numbering.format(position) : outdated.position
  }

  /** From where a subscription counts, for another server that reads the same log. */
  sinceOf({ since }: Membership): string | null {
    return this.numbering.log === undefined ? null : this.numbering.format(since)
  }

  /**
   * The driver's log was made anew: what there is belongs to the old one. The caller puts everybody
   * at the new one's position, and tells them.
   */
  restart(): number {
    this.broadcast.flush()
    this.refills?.reset()
    this.numbering.restart()
    const { position } = this.numbering.log!
    this.history.last = position
    this.broadcast.advance(position)
    return position
  }

  /** Empties a topic, which counts from this number on. */
  restartTopic({ log }: Topic, position: number): void {
    this.history.drop(log)
    log.restart(position)
  }

  /** Nothing is read for anybody any more. */
  stop(): void {
    this.refills?.reset()
  }

  private resumed(client: Client, how: Resume): void {
    if (!client.resuming) return
    client.resuming = false
    this.host.resumed(how)
  }

  /** A number for an entry that is not of the log, behind all that has come of it. */
  private numberOfOurs(topic: Topic): number {
    const last = Math.max(this.history.last, this.numbering.log!.position)
    // Those of one turn may share one: nobody has been given a part of them.
    const isNew = !Number.isInteger(last) && last > this.broadcast.delivered
    const number = isNew ? last : numberBetween(last)
    const above = number > topic.log.evictedThrough && (isNew || number > last)
    if (!above) reopen(topic, number)
    return number
  }

  private append(
    topic: Topic,
    encode: (id: string) => Encoded,
    number?: number,
    shared = false,
  ): number {
    if (this.unbounded.length > 0 && number !== this.history.last) this.bound()
    const now = this.timers.clock.now()
    const name = (number: number) =>
      encode(this.numbering.format(number, shared ? topic.name : undefined))
    const frame = this.history.append(topic.log, now, name, number)
    this.broadcast.add(topic, frame)
    if (!shared) this.history.enforce(topic.log)
    else if (this.unbounded.push(topic.log) === 1) queueMicrotask(() => this.bound())
    if (!this.expiring) this.expireLater(now)
    return frame.number
  }

  /** Holds those to their bounds that have got an entry which went to several. */
  private bound(): void {
    for (const log of this.unbounded.splice(0)) this.history.enforce(log)
  }

  private expireLater(now: number): void {
    const due = this.history.expire(now)
    this.expiring = due !== undefined
    if (due === undefined) return
    this.timers.after(due - now, () => this.expireLater(this.timers.clock.now()))
  }
}

/**
 * Has an entry of ours come to everybody, whose number is not above where they are: where there was
 * no more room behind the last number, or the topic begins at one that has not been read yet.
 */
function reopen(topic: Topic, number: number): void {
  const before = numberBefore(number)
  topic.log.evictedThrough = Math.min(topic.log.evictedThrough, before)
  for (const membership of topic.members) {
    const { client } = membership
    if (!client.live) client.cursor = Math.min(client.cursor, before)
    membership.since = Math.min(membership.since, before)
    if (membership.told !== undefined && membership.told.through >= number) {
      membership.told = undefined
    }
  }
}
