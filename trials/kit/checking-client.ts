import { request } from 'node:http'
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { ParsedEvent } from '../../test/support/sse-parser.js'
import { SseParser } from '../../test/support/sse-parser.js'
import { until } from '../../test/support/until.js'
import type { SequenceLedger } from './sequence-ledger.js'
import { callJson } from './call.js'
import { CONNECTION_EVENT } from '../../src/event-names.js'

export interface CheckingClientSettings {
  name: string
  topics: readonly string[]
  /** `auto` connects with its topics; `explicit` makes a client and subscribes it first. */
  kind: 'auto' | 'explicit'
  /** Where the server is, by way of the proxy. */
  origin: () => string
  /** Which life of the server this is: an id of an earlier one is rightly unknown. */
  life: () => number
  ledger: SequenceLedger
  /** How long the server keeps a client that is away, in milliseconds. */
  clientTTL: number
  /** Whether it comes when messages are under way, so that it can't know the first of its own. */
  late?: boolean
}

/** How long a page waits after an answer that ends an EventSource, in milliseconds. */
const PAGE_RETRY = 200

/**
 * A browser's EventSource and the page around it: it reconnects after `retry:` with its
 * `Last-Event-ID`, makes a new client where its own is unknown, and enters all in the ledger.
 */
export class CheckingClient {
  connects = 0
  /** How often the server did not know its id any more. */
  renewals = 0
  goodbyes = 0
  /** When it got the first of them, by the process's clock: it may come back to be sent away again. */
  goodbyeAt = 0
  /** How often it was told `messages-lost`. */
  losses = 0
  replaced = 0
  /** Answers other than 200, by status. */
  readonly refusals = new Map<number, number>()
  lastEventId = ''
  /** When it last got an event, by the process's clock. */
  lastHeard = 0
  /** How many messages of topics it got. */
  heard = 0
  retry = 500
  /** Its id, if it is a client that was made before it connected. */
  id: string | undefined
  private bornIn = -1
  private awaySince = 0
  private open = false
  private begun = false
  private stopped = true
  private current: ClientRequest | undefined
  private response: IncomingMessage | undefined
  private timer: NodeJS.Timeout | undefined

  constructor(readonly settings: CheckingClientSettings) {}

  /** Begins, and does not wait. */
  begin(): void {
    this.stopped = false
    this.connect()
  }

  /** Settles when its stream is open. */
  async start(): Promise<void> {
    this.begin()
    await until(`${this.settings.name} to be connected`, () => this.open, 60_000)
  }

  get connected(): boolean {
    return this.open
  }

  /** Names its connection to the proxy. */
  get localPort(): number | undefined {
    return this.current?.socket?.localPort
  }

  /** The page drops its connection and comes back at once. */
  comeBack(): void {
    if (this.stopped) return
    this.current?.destroy()
    this.left(this.current, 0)
  }

  /** The tab no longer takes anything from its socket, and does again. */
  read(on: boolean): void {
    if (on) this.response?.resume()
    else this.response?.pause()
  }

  /** It goes away for a while, and comes back with `begin`. */
  pause(): void {
    if (this.open) this.awaySince = performance.now()
    this.stop()
  }

  stop(): void {
    this.stopped = true
    this.open = false
    clearTimeout(this.timer)
    this.current?.destroy()
    this.current = undefined
  }

  private connect(): void {
    void this.address().then(
      (url) => {
        if (!this.stopped) this.ask(url)
      },
      () => this.later(PAGE_RETRY),
    )
  }

  /** Where its stream is, after making a client where that is needed. */
  private async address(): Promise<string> {
    const { kind, origin, topics, ledger, name, life, late } = this.settings
    if (kind === 'auto') {
      if (!this.begun) ledger.open(name, topics, late ? undefined : 0)
      this.begun = true
      const query = topics.map((topic) => `topic=${encodeURIComponent(topic)}`).join('&')
      return `${origin()}/auto?${query}`
    }
    if (this.id === undefined) {
      const bornIn = life()
      const made = await callJson(`${origin()}/clients`, 'POST')
      const id = String(made.body?.client_id)
      if (made.status !== 201) throw new Error(`No client: ${made.status}`)
      const body = { client_id: id, add: topics }
      const answer = await callJson(`${origin()}/subscriptions`, 'POST', body)
      if (answer.status !== 200 || answer.body?.refused?.length > 0) throw new Error('No topics')
      this.id = id
      this.bornIn = bornIn
      this.lastEventId = ''
      // Whoever was there before the first message must get that one too.
      ledger.open(name, topics, this.begun || late ? undefined : 0)
      this.begun = true
    }
    return `${origin()}/events?id=${this.id}`
  }

  private ask(url: string): void {
    const headers = {
      accept: 'text/event-stream',
      ...(this.lastEventId !== '' && { 'last-event-id': this.lastEventId }),
    }
    const asked = request(url, { agent: false, headers })
    this.current = asked
    asked.on('error', () => this.left(asked, this.retry))
    asked.on('close', () => this.left(asked, this.retry))
    asked.on('response', (response) => {
      if (this.current !== asked) return
      if (response.statusCode !== 200) this.refused(asked, response)
      else this.stream(asked, response)
    })
    asked.end()
  }

  private stream(asked: ClientRequest, response: IncomingMessage): void {
    this.connects++
    this.open = true
    this.response = response
    const parser = new SseParser(this.lastEventId)
    response.on('data', (bytes: Buffer) => {
      if (this.current !== asked) return
      this.lastHeard = performance.now()
      for (const event of parser.feed(bytes)) this.event(event)
      this.lastEventId = parser.lastEventId
    })
    // An error is followed by the request's own `close`.
    response.on('error', () => undefined)
  }

  private refused(asked: ClientRequest, response: IncomingMessage): void {
    const status = response.statusCode ?? 0
    this.refusals.set(status, (this.refusals.get(status) ?? 0) + 1)
    response.resume()
    if (status === 401) this.unknown()
    this.left(asked, PAGE_RETRY)
    asked.destroy()
  }

  /** Its id is unknown. That is right after a restart or its TTL, and never else. */
  private unknown(): void {
    const { life, ledger, name, clientTTL } = this.settings
    this.renewals++
    this.id = undefined
    const away = performance.now() - this.awaySince
    if (this.bornIn === life() && away < clientTTL && this.goodbyes === 0) {
      ledger.violation('other', `${name} was forgotten after ${Math.round(away)} ms`)
    }
  }

  private event({ type, data, retry }: ParsedEvent): void {
    if (retry !== undefined) this.retry = retry
    const { ledger, name } = this.settings
    if (type === CONNECTION_EVENT) {
      const { closed } = JSON.parse(data) as { closed?: { reason: string; reconnect: boolean } }
      if (closed === undefined) ledger.violation('other', `${name}: ${type} carried ${data}`)
    } else if (type !== 'message') {
      const [topic = '', number = ''] = data.split(' ', 2)
      this.heard++
      if (topic !== type) ledger.violation('other', `${name}: ${type} carried ${topic}`)
      ledger.message(name, type, Number(number))
    } else if (data === 'Client closed') {
      if (this.goodbyes === 0) this.goodbyeAt = performance.now()
      this.goodbyes++
    } else {
      this.told(JSON.parse(data) as { error?: { code: string; topic: string } })
    }
  }

  private told({ error }: { error?: { code: string; topic: string } }): void {
    const { ledger, name, kind } = this.settings
    if (error?.code === 'messages-lost') {
      this.losses++
      ledger.lost(name, error.topic)
    } else if (error?.code === 'subscription-failure') {
      ledger.failed(name, error.topic)
      // The page asks for its topics again: by connecting anew, or in words.
      if (kind === 'auto') setImmediate(() => this.comeBack())
      else this.subscribeAgain(error.topic)
    } else if (error?.code === 'replaced') {
      // By a request of its own that the network had kept until now.
      this.replaced++
      this.retry = PAGE_RETRY
    }
  }

  private subscribeAgain(topic: string): void {
    const body = { client_id: this.id, add: [topic] }
    callJson(`${this.settings.origin()}/subscriptions`, 'POST', body).then(
      ({ status }) => {
        if (status === 502 && !this.stopped)
          setTimeout(() => this.subscribeAgain(topic), PAGE_RETRY)
      },
      () => this.comeBack(),
    )
  }

  private left(asked: ClientRequest | undefined, wait: number): void {
    if (this.current !== asked || this.stopped) return
    if (this.open) this.awaySince = performance.now()
    this.open = false
    this.current = undefined
    this.response = undefined
    this.later(wait)
  }

  private later(milliseconds: number): void {
    clearTimeout(this.timer)
    if (!this.stopped) this.timer = setTimeout(() => this.connect(), milliseconds)
  }
}
