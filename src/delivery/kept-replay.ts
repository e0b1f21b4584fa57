import type { Encoded } from '../wire/encode.js'
import { Batch } from '../wire/frame.js'
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
  if (topic.keeping?.holds !== true && topic.endedAt === undefined) return
  if (membership.kept === undefined) {
    membership.kept = new KeptReplay(client.nextReplay(), through)
  } else membership.kept.again(through)
  client.awaitsKept = true
}

/** Has a client sent a topic's state, which holds what came through this number, before what follows. */
export function sendSnapshot(membership: Membership, through: number, snapshot: Encoded): void {
  const { client } = membership
  membership.kept = new KeptReplay(client.nextReplay(), through, snapshot)
  client.awaitsKept = true
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
  client.awaitsKept = true
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
  const waiting = sources.filter(({ kept }) => kept?.waits === true).sort(bySerial)
  const last = waiting.at(-1)
  if (last === undefined) return true
  const { cursor, connection } = client
  const { serial, through } = last.kept!
  client.mark({ serial, through: Math.floor(through), topic: last.topic.name })
  const id = delivery.positionOf(client)
  const events = waiting.flatMap((membership) => eventsOf(delivery, membership))
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
function eventsOf(delivery: Delivery, { client, topic, kept }: Membership): Encoded[] {
  const values = topic.keeping?.kept
  const { snapshot } = kept!
  const events: Encoded[] =
    snapshot === undefined ? (values?.through(kept!.through) ?? []) : [snapshot]
  if (snapshot === undefined && values?.lacks === true) {
    delivery.lost(client, topic.name)
    events.push(delivery.errorMessage({ code: 'messages-lost', topic: topic.name }))
  }
  const isOver = topic.endedAt !== undefined && topic.endedAt <= kept!.through
  if (isOver) events.push(delivery.endMessage(topic.name))
  return events
}

function bySerial(a: Membership, b: Membership): number {
  return a.kept!.serial - b.kept!.serial
}
