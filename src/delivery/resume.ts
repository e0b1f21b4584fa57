import { hasLoss, lacking } from './catch-up.js'
import type { Client } from './client.js'
import type { Connection } from './connection.js'
import { configMessage, errorMessage } from '../wire/messages.js'
import type { Numbering } from './numbering.js'
import type { Position } from '../wire/position.js'
import { cursorAt, topicCursorAt } from '../wire/position.js'

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
  readonly greeting: Greeting
}

/** What opening a stream takes of the delivery. */
export interface ResumeHost {
  readonly numbering: Numbering
  /** Everybody who keeps up has been given everything through this number. */
  readonly delivered: number
  flush(): void
  catchUp(client: Client): void
  /** What a client would name that has got all that was written to it. */
  positionOf(client: Client): string
  /** The client was told that something of a topic is missing. */
  lost(client: Client, topic: string): void
  /** It is known how a connection that named a position goes on. */
  resumed(resume: Resume): void
}

/**
 * Opens a client's stream on a new connection: the first message, what it missed, and from then
 * on what arrives. Where the position is one that this server has not read yet, once it has.
 */
export function resume(host: ResumeHost, opening: Opening): void {
  const { numbering } = host
  const { client, connection, position } = opening
  host.flush()
  client.cursor = client.position
  client.live = false
  client.greeted = false
  client.connection = connection
  const ahead = Math.max(
    positionAhead(client),
    (position && numbering.parse(position)?.number) || 0,
  )
  if (numbering.log === undefined || ahead <= host.delivered) {
    begin(host, opening)
    return
  }
  const go = () => {
    if (client.connection === connection) begin(host, opening)
  }
  // What it does not come to is from the future.
  numbering.log.reach(Math.floor(ahead)).then(go, go)
}

/** From where a subscription counts that another server has made, where this one may be behind. */
function positionAhead(client: Client): number {
  let ahead = 0
  for (const { since, topic } of client.readable()) {
    if (since > topic.log.evictedThrough) ahead = Math.max(ahead, since)
  }
  return ahead
}

function begin(host: ResumeHost, opening: Opening): void {
  const { client, connection, position, greeting } = opening
  host.flush()
  const named = position === undefined ? undefined : locate(host, position)
  const known = named !== undefined && cursorAt(named) >= client.forgottenThrough
  client.greeted = true
  client.resuming = false
  if (known) client.cursor = cursorAt(named)
  if (position !== undefined && !known) {
    startAnew(host, opening)
    return
  }
  if (known) {
    doubtWhatWasTold(client, client.cursor)
    for (const membership of client.readable()) {
      const arrived = topicCursorAt(named, membership.topic.name)
      if (arrived > client.cursor) membership.since = Math.max(membership.since, arrived)
      membership.misses ||= membership.topic.log.misses(membership.lowest(client.cursor))
    }
  }
  client.ended = client.ended.filter((membership) => {
    if (membership.endedAt! > client.cursor) return true
    membership.topic.leave(membership)
    return false
  })
  const id = known ? host.numbering.format(named.number, named.tie) : host.positionOf(client)
  connection.write(configMessage(greeting.config, client.topics, { id, retry: greeting.retry }))
  if (known) {
    client.resuming = lacking(client) !== undefined
    if (!client.resuming) host.resumed(hasLoss(client) ? 'lost' : 'exact')
  }
  host.catchUp(client)
}

/** What a position names that has been read here, or undefined if it names nothing of the kind. */
export function locate(
  { numbering, delivered }: Pick<ResumeHost, 'numbering' | 'delivered'>,
  text: string,
): Position | undefined {
  const position = numbering.parse(text)
  return position !== undefined && position.number <= delivered ? position : undefined
}

/**
 * For a client whose position says nothing to us: everything may be missing. The position
 * that it is given stands in the last message that says so; were it in the first, a client
 * cut off in between would come back as if it knew.
 */
function startAnew(host: ResumeHost, { client, connection, greeting }: Opening): void {
  client.cursor = host.delivered
  const id = host.numbering.format(client.cursor)
  const memberships = [...client.readable()]
  const lost = [...new Set(memberships.map(({ topic }) => topic.name))]
  // What was to come after a rewind comes with it, or it would be missing behind the rewind.
  for (const membership of memberships) {
    if (membership.rewind !== undefined) membership.since = client.cursor
    membership.misses = false
  }
  const fields = { id: lost.length === 0 ? id : undefined, retry: greeting.retry }
  connection.write(configMessage(greeting.config, client.topics, fields))
  for (const [index, topic] of lost.entries()) {
    const last = index === lost.length - 1
    connection.write(errorMessage({ code: 'messages-lost', topic }, { id: last ? id : undefined }))
    host.lost(client, topic)
  }
  host.resumed('unknown-position')
  host.catchUp(client)
}

/** A loss that was told after this position may not have arrived, so it is to be told again. */
function doubtWhatWasTold(client: Client, position: number): void {
  for (const membership of client.readable()) {
    if (membership.told !== undefined && position <= membership.told.at) membership.told = undefined
    if (position > membership.missesToldAt) continue
    membership.misses = true
    membership.missesToldAt = -1
  }
}
