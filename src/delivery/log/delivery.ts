import type { Payload } from '../../driver.js'
import { LogUnavailableError } from '../../errors.js'
import type { Log } from '../../log.js'
import type { Encoded } from '../../wire/encode.js'
import type { Refusal, WireErrorCode } from '../../wire/messages.js'
import { numberBefore } from '../../wire/position.js'
import type { Step } from '../catch-up.js'
import type { Client } from '../client.js'
import type { DeliveryParts } from '../delivery.js'
import { Delivery, filtered } from '../delivery.js'
import type { Opening } from '../resume.js'
import { sendEndLast } from '../kept-replay.js'
import { resume } from '../resume.js'
import type { LogPlace, Topic, TopicHost } from '../topic.js'
import { lacking, logSources, nextLogStep } from './catch-up.js'
import { LogMembership } from './membership.js'
import { LogNumbering } from './numbering.js'
import { LogReplay } from './replay.js'
import type { LogSegment } from './segment.js'
import { LogTopic } from './topic.js'
import { LogTopicHistory } from './topic-history.js'

/**
 * A delivery whose frames have the numbers of the driver's log, so that a position means the same on
 * every server, and what the history let go is read again.
 */
export class LogDelivery extends Delivery {
  declare protected readonly numbering: LogNumbering
  private readonly logReplay: LogReplay
  /** What a client would name of a log that was made anew, until it was sent frame `until`. */
  private readonly outdated = new WeakMap<Client, { position: string; until: number }>()
  /** Topics that wait for the others which an entry goes to: nobody is given a part of it. */
  private readonly unbounded: LogTopicHistory[] = []

  constructor(
    private readonly log: Log,
    parts: DeliveryParts,
  ) {
    super(parts, new LogNumbering(log, parts.secret))
    this.logReplay = new LogReplay(log, this.timers, this)
  }

  override ready(): Promise<void> | undefined {
    return this.numbering.ready(() => this.flush())
  }

  override newTopic(name: string, host: TopicHost): LogTopic {
    const topic = new LogTopic(name, host, new LogTopicHistory(this.history.last, name))
    topic.delay = this.delayOf(name)
    return topic
  }

  /** The log has what comes after it, whether a topic is open or not. @throws LogUnavailableError */
  override handOut(): string {
    if (this.ready() !== undefined) {
      throw new LogUnavailableError(
        new Error('It is not open yet: await streamer.open() at start.'),
      )
    }
    this.flush()
    return this.position
  }

  override newMembership(client: Client, topic: LogTopic): LogMembership {
    // The topic may be read from a place in the log that this server has not come to yet.
    const now = Math.max(this.history.last, topic.history.evictedThrough)
    return new LogMembership(client, topic, now)
  }

  override receive(topic: LogTopic, payload: Payload, place: LogPlace): Refusal | undefined {
    const refusal = this.refusalOf(payload)
    const { number, shared } = place
    const tie = shared ? topic.name : undefined
    this.boundBefore(number)
    const frame = this.add(
      topic,
      (number) => this.encode(topic.name, payload, refusal, this.numbering.format(number, tie)),
      number,
      filtered(topic, payload, refusal),
    )
    topic.keeping?.took(frame, payload, refusal)
    if (!shared) this.history.enforce(topic.history)
    else if (this.unbounded.push(topic.history) === 1) queueMicrotask(() => this.bound())
    return refusal
  }

  /** An entry of the log as it is sent, with a tie where it goes to several topics. */
  encodeEntry(topic: string, payload: Payload, number: number, tie: boolean): Encoded {
    const id = this.numbering.format(number, tie ? topic : undefined)
    return this.encode(topic, payload, this.refusalOf(payload), id)
  }

  override tell(topic: LogTopic, code: WireErrorCode): number {
    const number = this.numberOfOurs(topic)
    this.boundBefore(number)
    // No other server knows of it, so there is no position behind it.
    return this.append(topic, () => this.errorMessage({ code, topic: topic.name }), number).number
  }

  override tellEnd(topic: LogTopic): void {
    const number = this.numberOfOurs(topic)
    this.boundBefore(number)
    topic.history.endsAt = number
    this.append(topic, () => this.endMessage(topic.name), number)
    topic.endedAt = number
  }

  /** An entry of the log as the filter of its topic is given it. */
  filteredEntry(topic: string, payload: Payload): string | Uint8Array | undefined {
    const isSent = this.refusalOf(payload) === undefined
    return isSent ? this.host.filtered(topic, payload) : undefined
  }

  endsWith(topic: string, payload: Payload): boolean {
    return this.host.endsWith(topic, payload)
  }

  override tellGap(topic: LogTopic, through?: number): void {
    const place = this.tell(topic, 'messages-lost')
    topic.keeping?.missed(place)
    if (through !== undefined) topic.history.miss(place, through)
  }

  override flush(): void {
    super.flush()
    const { position } = this.log
    if (position <= this.history.last) return
    this.history.last = position
    this.broadcast.advance(position)
  }

  override reach(position: string): Promise<unknown> | undefined {
    this.flush()
    const number = this.parse(position)?.number ?? 0
    return number > this.delivered ? this.log.reach(number) : undefined
  }

  /** Where the position is one that this server has not read yet, the stream begins once it has. */
  override start(opening: Opening): void {
    const { client, connection, position } = opening
    this.flush()
    client.attach(connection)
    if (opening.asked !== undefined) this.timings.open(connection)
    const named = position === undefined ? undefined : this.parse(position)
    const ahead = Math.max(positionAhead(client), named?.number ?? 0)
    if (ahead <= this.delivered) {
      resume(this, opening)
      return
    }
    const go = () => {
      if (client.connection === connection) resume(this, opening)
    }
    // If the log never reaches it, the position is from the future, and nobody knows it.
    this.log.reach(Math.floor(ahead)).then(go, go)
  }

  /** @param segment What was read from the log, for clients that lack it. */
  override catchUp(client: Client, segment?: LogSegment): void {
    if (segment === undefined) super.catchUp(client)
    else this.bring(client, () => this.stepWith(client, segment))
  }

  override heartbeatFor(client: Client): string | undefined {
    if (!client.live) return undefined
    this.flush()
    return client.live ? this.positionOf(client) : undefined
  }

  override positionOf(client: Client): string {
    const outdated = this.outdated.get(client)
    const known = outdated === undefined || client.position >= outdated.until
    return known ? super.positionOf(client) : outdated.position
  }

  override sinceOf({ client, since, replay, isUncertain, kept }: LogMembership): string | null {
    // Another server has not loaded it.
    if (kept?.snapshot !== undefined) return null
    // Another server goes on with the replay that the client's position names, and with no other.
    const isNamed = replay === undefined || replay.serial === client.marked?.serial
    return isNamed && !isUncertain ? this.numbering.format(since) : null
  }

  override placeAfterMove(named: string): string {
    return named
  }

  override resumedAt(client: Client): void {
    // Whether the log still has what is lacking shows when it is read.
    if (lacking(client) === undefined) super.resumedAt(client)
    else client.awaitReport()
  }

  override stop(): void {
    this.logReplay.reset()
  }

  /** The log could not be read. */
  replayFailed(error: unknown): void {
    this.host.replayFailed(error)
  }

  /**
   * The log was made anew: what there is belongs to the old one. Every client is put at the new
   * one's position, and told.
   *
   * @param gap Tells a topic's clients that messages are missing.
   */
  restart(clients: readonly Client[], topics: readonly Topic[], gap: (topic: Topic) => void): void {
    const failed = clients.flatMap((client) => client.failed)
    const gone = new Set(failed.map(({ topic }) => topic))
    for (const client of clients) {
      this.outdated.set(client, { position: this.positionOf(client), until: Infinity })
    }
    const position = this.restartNumbering()
    for (const topic of new Set([...topics, ...gone])) {
      this.history.drop(topic.history)
      topic.keeping?.clear()
      ;(topic as LogTopic).history.restart(position)
    }
    for (const client of clients) {
      client.restart(position)
      for (const membership of logSources(client)) {
        membership.findAgain((text) => this.parse(text))
      }
    }
    for (const topic of topics) gap(topic)
    for (const topic of gone) {
      const endedAt = this.tell(topic as LogTopic, 'subscription-failure')
      for (const membership of failed) if (membership.topic === topic) membership.endAt(endedAt)
    }
    for (const client of clients) {
      this.outdated.get(client)!.until = this.history.last
      this.catchUp(client)
    }
  }

  protected override skip(): void {
    // The topic that is opened anew says from where in the log on it is read.
  }

  protected override nextStep(client: Client): Step | undefined {
    return this.stepWith(client)
  }

  private stepWith(client: Client, segment?: LogSegment): Step | undefined {
    const step = nextLogStep(client, this.replays, segment)
    if (step?.kind !== 'absent') return step
    for (const membership of client.failed) {
      if (membership.floor(client.cursor) < membership.endedAt!) sendEndLast(membership)
    }
    client.advance(step.through)
    if (segment === undefined) this.logReplay.ask(client)
    return { kind: 'wait' }
  }

  private restartNumbering(): number {
    this.broadcast.flush()
    this.logReplay.reset()
    this.numbering.restart()
    const { position } = this.log
    this.history.last = position
    this.broadcast.advance(position)
    return position
  }

  /**
   * Numbers an entry of our own (a gap, a failure) behind the newest log entry and before the next
   * one. An example: after entry 7 a gap is 7.5, a second one 7.75, and the next entry is 8.
   */
  private numberOfOurs(topic: LogTopic): number {
    const last = Math.max(this.history.last, this.log.position)
    // Those of one tick may share one: nobody has been given a part of them.
    const isNew = !Number.isInteger(last) && last > this.broadcast.delivered
    const number = isNew ? last : numberBetween(last)
    const above = number > topic.history.evictedThrough && (isNew || number > last)
    if (!above) reopen(topic, number)
    return number
  }

  /** Before an entry with another number is kept, the topics of the one before are bounded. */
  private boundBefore(number: number): void {
    if (this.unbounded.length > 0 && number !== this.history.last) this.bound()
  }

  /** Holds topics to their bounds that have got an entry which went to several. */
  private bound(): void {
    for (const history of this.unbounded.splice(0)) this.history.enforce(history)
  }
}

/** From where a subscription counts that another server has made, where this one may be behind. */
function positionAhead(client: Client): number {
  let ahead = 0
  for (const { since, topic } of logSources(client)) {
    if (since > topic.history.evictedThrough) ahead = Math.max(ahead, since)
  }
  return ahead
}

/**
 * A number right after `last` for an entry of our own, of which the log knows nothing: above all
 * that there are, and below the log's next one. There is room for some, and then it is `last`.
 */
function numberBetween(last: number): number {
  const place = Math.floor(last)
  if (place === last) return place + 0.5
  // The next number that a double has.
  const next = last + last * 0.75 * Number.EPSILON
  return next < place + 1 ? next : last
}

/**
 * Moves cursors back so that every client gets an entry of our own whose number is not above where
 * they are. Two cases: there was no more room between two numbers of the log (7.999… and 8), or the
 * topic begins at a number that this server has not read yet.
 */
function reopen(topic: LogTopic, number: number): void {
  const before = numberBefore(number)
  topic.history.reopen(before)
  for (const membership of topic.members) membership.reopen(number, before)
}
