import type { FakeResponse } from '../fake-response.js'
import type { ParsedEvent } from '../sse-parser.js'
import { SseParser } from '../sse-parser.js'
import { Ledger } from './ledger.js'

/** One connection as the browser sees it. */
export interface Link {
  readonly response: FakeResponse
  readonly parser: SseParser
  /** The topics that the server should name in its first message. */
  readonly topics: readonly string[]
  clientId: string
  events: number
  /** The number of the position named last in this stream. */
  number: number
  closed: boolean
}

/** What a browser has got, checked against what it was owed as it comes in. */
export class Browser {
  /** What it names when it connects. */
  lastEventId: string | undefined
  link: Link | undefined
  /** Whether an earlier connection may have had bytes that it can't name. */
  connectedBefore = false
  private readonly ledgers = new Map<string, Ledger>()

  constructor(private readonly name: string) {}

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

  open(response: FakeResponse, clientId: string, topics: readonly string[]): void {
    const parser = new SseParser(this.lastEventId)
    this.link = { response, parser, topics, clientId, events: 0, number: -1, closed: false }
    this.connectedBefore = true
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
    link.events++
    this.checkPosition(link, event)
    if (event.type !== 'message') {
      this.ledger(event.type).receive(Number(/^(\d+):x*$/.exec(event.data)?.[1]), link)
    } else if (event.data === 'Client closed') {
      link.closed = true
    } else {
      this.info(link, JSON.parse(event.data) as Info)
    }
    if ((link.events === 1) !== event.data.includes('"config"') && !link.closed) {
      throw new Error(`${this.name}: the config is not exactly the first message.`)
    }
  }

  private info(link: Link, { config, subscriptions, error }: Info): void {
    if (config !== undefined) {
      if (config.client_id !== link.clientId) throw new Error(`${this.name}: a foreign id.`)
      const [got, right] = [subscriptions, link.topics].map((topics) => topics?.toSorted().join())
      if (got !== right) throw new Error(`${this.name}: subscriptions ${got} are not ${right}.`)
    }
    if (error === undefined) return
    if (error.code === 'replaced') throw new Error(`${this.name}: the newer one was replaced.`)
    this.ledger(error.topic).tell()
  }

  private checkPosition(link: Link, { hasId, lastEventId }: ParsedEvent): void {
    if (!hasId) return
    const number = Number(/^[0-9a-f]+-(\d+)$/.exec(lastEventId)?.[1])
    if (!(number > link.number)) {
      throw new Error(`${this.name}: position ${lastEventId} after ${link.number}.`)
    }
    link.number = number
  }
}

interface Info {
  config?: { client_id: string }
  subscriptions?: string[]
  error?: { code: string; topic: string }
}
