import { behindPosition } from '../wire/encode.js'
import { configMessage, errorMessage } from '../wire/messages.js'
import { Position } from '../wire/position.js'
import type { Client } from './client.js'
import type { Connection } from './connection.js'

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
  /** Every live client has been given everything through this number. */
  readonly delivered: number
  flush(): void
  /** What a position names that has been read here, or undefined where it names nothing. */
  locate(position: string): Position | undefined
  format(place: Position): string
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
  client.knows(client.cursor)
  const id = known ? host.format(named) : host.positionOf(client)
  greet(opening, id)
  client.tellTaken(named?.cursor)
  if (known) host.resumedAt(client)
  host.catchUp(client)
}

/** Writes the first message. */
function greet({ client, connection, asked, greeting }: Opening, id: string | undefined): void {
  const first = configMessage(greeting.config, client.topics, { id, retry: greeting.retry })
  connection.write(asked === undefined ? first : behindPosition(asked, first))
}

function resumeSubscriptions(client: Client, named: Position): void {
  for (const membership of client.sources()) {
    membership.doubt(client.cursor)
    membership.resume(named)
  }
}

/**
 * For a client whose position says nothing to us: everything may be missing. The position
 * that it is given stands in the last message that says so; were it in the first, a client
 * cut off in between would come back as if it knew.
 */
function startAnew(host: ResumeHost, opening: Opening): void {
  const { client, connection } = opening
  client.greet(new Position(host.delivered))
  const id = host.format(client.place)
  const memberships = client.sources()
  const lost = [...new Set(memberships.map(({ topic }) => topic.name))]
  for (const membership of memberships) membership.startAnew(client.cursor)
  greet(opening, lost.length === 0 ? id : undefined)
  for (const [index, topic] of lost.entries()) {
    const last = index === lost.length - 1
    connection.write(errorMessage({ code: 'messages-lost', topic }, { id: last ? id : undefined }))
    host.lost(client, topic)
  }
  client.tellTaken()
  host.resumedAnew()
  host.catchUp(client)
}
