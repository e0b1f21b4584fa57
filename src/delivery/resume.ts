import { configMessage, errorMessage } from '../wire/messages.js'
import { Position } from '../wire/position.js'
import type { Client } from './client.js'
import type { Connection } from './connection.js'
import { resumeKept, sendKept } from './kept-replay.js'
import type { Membership } from './membership.js'

/** How a connection went on from where its client said that it was. */
export type Resume = 'exact' | 'lost' | 'unknown-position'

/** What a first message tells beside the subscriptions. */
export interface Greeting {
  config: Parameters<typeof configMessage>[0]
  retry: number
}

/** A stream that is to be opened. */
export interface Opening {
  readonly client: Client
  readonly connection: Connection
  /**
   * The position that the client names. Without, it goes on after what was last written to it.
   */
  readonly position: string | undefined
  /** The position in the request, which is not always the one that counts. */
  readonly asked: string | undefined
  readonly greeting: Greeting
}

/** What opening a stream takes of the delivery. */
export interface ResumeHost {
  /** The event name of info messages, as it is written. */
  readonly infoEvent: string | undefined
  /** Every live client has been given everything through this number. */
  readonly delivered: number
  flush(): void
  /** What a position names that has been read here, or undefined where it names nothing. */
  locate(position: string): Position | undefined
  format(place: Position): string
  /** A position that a request has named, for the request's client to name again. */
  again(position: string, named: Position): string
  /** What a client would name that has got all that was written to it. */
  positionOf(client: Client): string
  catchUp(client: Client): void
  /** The client was told that something of a topic is missing. */
  lost(client: Client, topic: string): void
  /** A client goes on after the position that it named. */
  resumedAt(client: Client): void
  /** A client named a position that is unknown. */
  resumedAnew(): void
}

/** Writes the first message of a client's connection, what it missed, and then what arrives. */
export function resume(host: ResumeHost, opening: Opening): void {
  const { client, position } = opening
  host.flush()
  const named = position === undefined ? undefined : host.locate(position)
  const known = named !== undefined && !client.hasForgotten(named.cursor)
  if (position !== undefined && !known) {
    startAnew(host, opening)
    return
  }
  client.greet(named)
  if (known) resumeSubscriptions(client, named)
  // It is given back as it came: it is no younger than when it was given out.
  const id = known ? host.again(position!, named) : host.positionOf(client)
  if (opening.asked === undefined) {
    goOnUnasked(host, opening, id)
  } else {
    client.acknowledge(client.cursor)
    client.knows(client.cursor)
    greet(host, opening, id)
    client.tellTaken(named?.cursor)
    tellOwed(host, opening)
  }
  if (known) host.resumedAt(client)
  host.catchUp(client)
}

/**
 * For a client that names no position. If it has had a stream before, what was on its way then may
 * never have come: it is told so of each topic of which something was written to it since it last
 * showed what it has. An example: it has named 3, of topic `a` it was written 5, and of `b` nothing.
 * It is told of `a`, and goes on after 5.
 */
function goOnUnasked(host: ResumeHost, opening: Opening, id: string): void {
  const { client } = opening
  const { acknowledged, cursor } = client
  if (acknowledged === Infinity) client.acknowledge(cursor)
  const sources = client.sources()
  const unshown = sources.filter(({ kept }) => kept?.snapshot !== undefined && !kept.waits)
  for (const membership of sources) {
    const isOld = acknowledged < Infinity && membership.kept !== undefined
    if (isOld || acknowledged < 0) sendKept(membership, cursor)
  }
  const unsure = sources.filter((membership) => {
    return unshown.includes(membership) || membership.isUnsure(acknowledged, cursor)
  })
  tellLosses(host, opening, id, unsure)
}

/** Tells a client of the topics of which its position brings nothing. */
function tellOwed(host: ResumeHost, { client, connection }: Opening): void {
  for (const topic of client.takeOwed()) {
    // With a log, the subscription knows of it, and tells it.
    if (client.membership(topic)?.hasLoss(client.cursor) !== false) continue
    connection.write(errorMessage({ code: 'messages-lost', topic }))
    host.lost(client, topic)
  }
}

/** Writes the first message. */
function greet(
  { infoEvent: event }: ResumeHost,
  { client, connection, asked, greeting }: Opening,
  id: string | undefined,
): void {
  // Whoever has an id has the last values: who is cut before them comes back without.
  const fields = {
    id: client.awaitsKept ? undefined : id,
    event,
    retry: greeting.retry,
    resumes: asked,
  }
  connection.write(configMessage(greeting.config, client.topics, fields))
}

function resumeSubscriptions(client: Client, named: Position): void {
  for (const membership of client.sources()) {
    membership.doubt(client.cursor)
    const isLoaded = membership.kept?.snapshot !== undefined && membership.kept.waits
    const isKept = isLoaded || client.owes(membership.topic.name)
    const since = membership.since
    if (!isLoaded && membership.mayLackKept(named)) sendKept(membership, since)
    else resumeKept(membership, named)
    membership.resume(isKept ? new Position(named.number, named.tie) : named)
  }
}

/**
 * For a client whose position says nothing to us: everything may be missing. The position that it is
 * given stands in the last message that says so; were it in the first, a client that is cut off in
 * between would come back as if it knew.
 */
function startAnew(host: ResumeHost, opening: Opening): void {
  const { client } = opening
  const memberships = client.sources()
  // What came since a snapshot was loaded follows it.
  const loaded = memberships.flatMap(({ kept }) => {
    return kept?.snapshot !== undefined && kept.waits ? [Math.floor(kept.through)] : []
  })
  client.greet(new Position(Math.min(host.delivered, ...loaded)))
  // It is told of all its topics.
  client.takeOwed()
  client.acknowledge(-1)
  const id = host.format(client.place)
  for (const membership of memberships) {
    membership.startAnew(client.cursor)
    sendKept(membership, client.cursor)
  }
  tellLosses(host, opening, id, memberships)
  host.resumedAnew()
  host.catchUp(client)
}

/**
 * Writes the first message, and a `messages-lost` for the topic of each of these subscriptions. The
 * position stands in the last message.
 */
function tellLosses(
  host: ResumeHost,
  opening: Opening,
  id: string,
  memberships: readonly Membership[],
): void {
  const { client, connection } = opening
  const lost = [...new Set(memberships.map(({ topic }) => topic.name))]
  greet(host, opening, lost.length === 0 ? id : undefined)
  for (const [index, topic] of lost.entries()) {
    const last = index === lost.length - 1
    const fields = { id: last && !client.awaitsKept ? id : undefined, event: host.infoEvent }
    connection.write(errorMessage({ code: 'messages-lost', topic }, fields))
    host.lost(client, topic)
  }
  client.tellTaken()
}
