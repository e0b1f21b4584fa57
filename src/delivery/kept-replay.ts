import type { Encoded } from '../wire/encode.js'
import type { Frame } from '../wire/frame.js'
import { Batch } from '../wire/frame.js'
import { heartbeatMessage } from '../wire/messages.js'
import type { Position } from '../wire/position.js'
import type { Client } from './client.js'
import type { Delivery } from './delivery.js'
import type { Membership } from './membership.js'

/**
 * The last values of a topic on their way to a client that has subscribed. They come in one piece,
 * before all else, and only the last event of it has an id: a client that is cut before comes back
 * without, and is sent them all again.
 *
 * An example: a client whose cursor is 9 subscribes to `a`, whose last values are 3 and 5. It is sent
 * 3 without an id and 5 with `x-9@1.9.a`: everything through 9, and of the replay 1 what there is.
 */
export class KeptReplay {
  /** The client's cursor when they were sent; undefined before. */
  private at: number | undefined = undefined

  constructor(
    /** Which of the client's replays it is. */
    readonly serial: number,
    /** The values through this number; what is newer comes as any other message. */
    public through: number,
    /** It is the end of a topic that the history has let go: it comes behind all else. */
    readonly comesLast = false,
    /** What is sent in their place: the topic's state, as the application has loaded it for this client. */
    readonly snapshot?: Encoded,
  ) {}

  /** Whether it is still to be sent. */
  get waits(): boolean {
    return this.at === undefined
  }

  /** It has been sent, with the client's cursor where it is. */
  sent(cursor: number): void {
    this.at = cursor
  }

  /** It is sent again, with what has become the newest since. */
  again(through = this.through): void {
    this.at = undefined
    this.through = Math.max(this.through, through)
  }

  /** Whether a client that names this position has got it. */
  isKnown({ number, replay }: Position): boolean {
    if (this.at === undefined) return false
    const at = Math.floor(this.at)
    return number > at || (number === at && (replay?.serial ?? 0) >= this.serial)
  }
}

/** Has the topic's last values sent to a client, if there are any, through this number. */
export function sendKept(membership: Membership, through: number): void {
  const { client, topic } = membership
  if (membership.kept?.snapshot !== undefined) {
    // It is sent once: what was written behind it is newer.
    if (membership.kept.waits) return
    membership.kept = undefined
  }
  const { keeping, endedAt } = topic
  const isOwed = endedAt !== undefined || (keeping?.holds === true && keeping.kept!.lacks)
  if (!isOwed && valuesFor(membership, through).length === 0) return
  if (membership.kept === undefined) {
    membership.kept = new KeptReplay(client.nextReplay(), through)
  } else membership.kept.again(through)
  awaitIt(membership.kept, client)
}

/** The history has let go of the topic's end: the client gets it behind all that is left. */
export function sendEndLast(membership: Membership): void {
  const { client, topic, endedAt } = membership
  if (endedAt === undefined || endedAt !== topic.endedAt) return
  if (endedAt > topic.history.evictedThrough || membership.kept !== undefined) return
  membership.kept = new KeptReplay(client.nextReplay(), endedAt, true)
  client.awaitsEnd = true
}

/** Has a client sent a topic's state, which holds what came through this number, before what follows. */
export function sendSnapshot(membership: Membership, through: number, snapshot: Encoded): void {
  const { client } = membership
  membership.kept = new KeptReplay(client.nextReplay(), through, false, snapshot)
  awaitIt(membership.kept, client)
}

/** A client comes back at a position that it named: what it may not have got is sent again. */
export function resumeKept(membership: Membership, named: Position): void {
  const { kept, client } = membership
  if (kept === undefined) return
  if (kept.isKnown(named)) {
    membership.kept = undefined
    return
  }
  kept.again()
  awaitIt(kept, client)
}

function awaitIt({ comesLast }: KeptReplay, client: Client): void {
  if (comesLast) client.awaitsEnd = true
  else client.awaitsKept = true
}

/**
 * Writes the last values that a client waits for, unless it is in the middle of a replay.
 *
 * @returns whether there is more to write to it.
 */
export function writeKept(delivery: Delivery, client: Client): boolean {
  const sources = client.sources()
  if (sources.some(({ replay }) => replay?.at !== undefined)) return true
  client.awaitsKept = false
  return write(delivery, client, false)
}

/** Writes the ends that come last to a client that has all else. @returns whether it could. */
export function writeEnds(delivery: Delivery, client: Client): boolean {
  client.awaitsEnd = false
  client.advance(delivery.delivered)
  return write(delivery, client, true)
}

function write(delivery: Delivery, client: Client, isLast: boolean): boolean {
  const waiting = client
    .sources()
    .filter(({ kept }) => kept?.waits === true && kept.comesLast === isLast)
    .sort(bySerial)
  const last = waiting.at(-1)
  if (last === undefined) return true
  const { cursor, connection } = client
  const { serial, through } = last.kept!
  client.mark({ serial, through: Math.floor(through), topic: last.topic.name })
  const id = delivery.positionOf(client)
  const events = waiting.flatMap((membership) => eventsOf(delivery, membership))
  // The newest of a key may be none of this client's meanwhile. Its position comes all the same.
  if (events.length === 0) events.push(heartbeatMessage({ event: delivery.infoEvent }))
  for (const membership of waiting) {
    membership.kept!.sent(cursor)
    // A client that goes with its connection never names what it got of it.
    if (client.transient && membership.kept!.snapshot !== undefined) membership.kept = undefined
  }
  const written = connection!.write(
    Batch.withIds(events, (event) => (event === events.at(-1) ? id : undefined)),
  )
  if (written !== 'closed') delivery.caughtUp += events.length
  return written !== 'closed'
}

/** The last values of a topic, what tells that some may be missing, and its end. */
function eventsOf(delivery: Delivery, membership: Membership): Encoded[] {
  const { client, topic, kept } = membership
  const { snapshot } = kept!
  // What is read again from a log has brought them.
  const isLeft = !kept!.comesLast || topic.history.lostThrough >= kept!.through
  const values = isLeft ? topic.keeping?.kept : undefined
  const events: Encoded[] =
    snapshot === undefined ? valuesFor(membership, isLeft ? kept!.through : -1) : [snapshot]
  if (snapshot === undefined && values?.lacks === true) {
    delivery.lost(client, topic.name)
    events.push(delivery.errorMessage({ code: 'messages-lost', topic: topic.name }))
  }
  const isOver = topic.endedAt !== undefined && topic.endedAt <= kept!.through
  if (isOver) events.push(delivery.endMessage(topic.name))
  return events
}

/** The last values of a topic that a client is sent, through this number. */
function valuesFor({ topic, wants }: Membership, through: number): Frame[] {
  const values = topic.keeping?.kept?.through(through) ?? []
  return wants === undefined ? values : values.filter(wants)
}

function bySerial(a: Membership, b: Membership): number {
  return a.kept!.serial - b.kept!.serial
}
