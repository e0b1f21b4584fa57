import { CONNECTION_EVENT } from '../../../src/event-names.js'
import type { FakeResponse } from '../fake-response.js'
import type { ParsedEvent } from '../sse-parser.js'
import { SseParser } from '../sse-parser.js'
import { Ledger } from './ledger.js'

/**
 * A position as the tests read it: the number, the topic where several have it, the epoch, and in
 * the middle of a replay which one and how far.
 */
export type Place = readonly [
  number: number,
  tie: string,
  epoch: string,
  replay: number,
  through: number,
]

/** What follows every topic, in the order of names. */
export const NO_TIE = '\uffff'

const PLACE = /^([0-9a-z]+)-(\d+)(?:\.([^@=]+))?(?:@(\d+)\.(\d+)\.[^=]+)?(?:=[\w-]{11})?$/

/** Reads a position. */
export function placeOf(lastEventId: string): Place {
  const [, epoch = '', number, tie, replay = 0, through = 0] = PLACE.exec(lastEventId) ?? []
  const name = tie === undefined ? NO_TIE : decodeURIComponent(tie)
  return [Number(number), name, epoch, Number(replay), Number(through)]
}

function isAfter(place: Place, other: Place): boolean {
  if (place[2] !== other[2]) return true
  for (const i of [0, 1, 3, 4]) if (place[i]! !== other[i]!) return place[i]! > other[i]!
  return false
}

/** One connection as the browser sees it. */
export interface Link {
  readonly response: FakeResponse
  readonly parser: SseParser
  /** The topics that the server should name in its first message, where that comes at once. */
  topics: readonly string[] | undefined
  clientId: string
  events: number
  /** The position named last in this stream. */
  position: Place
  closed: boolean
}

/** What a browser has got, checked against what it was owed as it comes in. */
export class Browser {
  /** What it names when it connects. */
  lastEventId: string | undefined
  link: Link | undefined
  /** Whether an earlier connection may have had bytes that it can't name. */
  connectedBefore = false
  /** The client that its last connection was for. Another server has another one. */
  private clientId = ''
  private readonly ledgers = new Map<string, Ledger>()

  constructor(
    readonly name: string,
    /** Whether a browser at this position may be told of a loss that is none of its own. */
    private readonly mayBeTold: (lastEventId: string, topic: string) => boolean = () => false,
  ) {}

  ledger(topic: string): Ledger {
    let ledger = this.ledgers.get(topic)
    if (ledger === undefined) {
      ledger = new Ledger(`${this.name}/${topic}`)
      this.ledgers.set(topic, ledger)
    }
    return ledger
  }

  /** The connection, if it takes everything at once. */
  get keepingUp(): Link | undefined {
    const { link } = this
    const response = link?.response
    return response?.keptReading && !response.writableEnded && !response.destroyed
      ? link
      : undefined
  }

  get all(): Ledger[] {
    return [...this.ledgers.values()]
  }

  get topics(): string[] {
    return [...this.ledgers].filter(([, { subscribed }]) => subscribed).map(([topic]) => topic)
  }

  open(response: FakeResponse, clientId: string, topics: readonly string[] | undefined): void {
    const parser = new SseParser(this.lastEventId)
    if (clientId === this.clientId) this.confirm()
    this.clientId = clientId
    const position: Place = [-1, NO_TIE, '', 0, 0]
    this.link = { response, parser, topics, clientId, events: 0, position, closed: false }
    // What has no position of its own comes again after the one before it.
    for (const ledger of this.all) if (ledger.toldAt === this.lastEventId) ledger.allow()
    this.connectedBefore = true
  }

  /** What a command of the model has it do with what is on its way. */
  obey(
    command:
      { do: 'receive'; received: number } | { do: 'stopReading' } | { do: 'read'; bytes: number },
  ): void {
    const response = this.link?.response
    if (command.do === 'stopReading') response?.stopReading()
    else if (command.do === 'read') response?.read(command.bytes)
    else this.receive(Math.ceil((response?.inFlightBytes ?? 0) * command.received))
  }

  /** It names a position to the server that it was on: what it was told before that is known there. */
  private confirm(): void {
    const named = placeOf(this.lastEventId ?? '')
    for (const ledger of this.all) {
      const { unconfirmed } = ledger
      if (unconfirmed === undefined || !isAfter(named, placeOf(unconfirmed))) continue
      ledger.unconfirmed = undefined
    }
  }

  /** Takes in a part of what is on its way. */
  receive(count = Infinity): void {
    const { link } = this
    if (link === undefined) return
    for (const event of link.parser.feed(link.response.receive(count))) this.take(link, event)
    if (link.parser.lastEventId !== '') this.lastEventId = link.parser.lastEventId
  }

  /** Loses the connection, and of what is on its way all but a part. */
  lose(fraction: number): void {
    const { link } = this
    if (link === undefined) return
    this.receive(Math.floor(link.response.inFlightBytes * fraction))
    this.link = undefined
  }

  private take(link: Link, event: ParsedEvent): void {
    if (link.closed) throw new Error(`${this.name}: an event after 'Client closed'.`)
    // Why the stream ends, for programs. A page does not listen to it.
    if (event.type === CONNECTION_EVENT) return
    link.events++
    this.checkPosition(link, event)
    if (event.type !== 'message') {
      this.ledger(event.type).receive(Number(/^(\d+):x*$/.exec(event.data)?.[1]), link)
    } else if (event.data === 'Client closed') {
      link.closed = true
    } else {
      this.info(link, event)
    }
    if ((link.events === 1) !== event.data.includes('"config"') && !link.closed) {
      throw new Error(`${this.name}: the config is not exactly the first message.`)
    }
  }

  private info(link: Link, { data, hasId, lastEventId }: ParsedEvent): void {
    const { config, subscriptions, error } = JSON.parse(data) as Info
    if (config !== undefined) {
      if (config.client_id !== link.clientId) throw new Error(`${this.name}: a foreign id.`)
      const [got, right] = [subscriptions, link.topics].map((topics) => topics?.toSorted().join())
      if (link.topics !== undefined && got !== right)
        throw new Error(`${this.name}: subscriptions ${got} are not ${right}.`)
    }
    if (error === undefined) return
    if (error.code === 'replaced') throw new Error(`${this.name}: the newer one was replaced.`)
    const ledger = this.ledger(error.topic)
    if (this.mayBeTold(lastEventId, error.topic)) ledger.allow()
    ledger.tell()
    ledger.unconfirmed = lastEventId
    if (!hasId) ledger.toldAt = lastEventId
  }

  private checkPosition(link: Link, { hasId, lastEventId, data }: ParsedEvent): void {
    if (!hasId) return
    const position = placeOf(lastEventId)
    const again = data.includes('"heartbeat"') && !isAfter(link.position, position)
    if (!again && !isAfter(position, link.position)) {
      throw new Error(`${this.name}: position ${lastEventId} after ${link.position.join()}.`)
    }
    link.position = position
  }
}

interface Info {
  config?: { client_id: string }
  subscriptions?: string[]
  error?: { code: string; topic: string }
}
