import { setImmediate as nextTurn } from 'node:timers/promises'
import { CONNECTION_EVENT } from '../../src/event-names.js'
import type { StreamerOptions } from '../../src/options.js'
import { Streamer } from '../../src/streamer.js'
import { FakeResponse, fakeRequest } from './fake-response.js'
import { ManualClock } from './manual-clock.js'
import type { ParsedEvent } from './sse-parser.js'
import { SseParser } from './sse-parser.js'
import { StubDriver } from './stub-driver.js'

/** Lets everything happen that is due in this turn of the event loop and the next. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 3; i++) await nextTurn()
}

/** A browser at the other end of a fake response. */
export class Page {
  readonly events: ParsedEvent[] = []
  private readonly parser = new SseParser()
  private isCut = false

  constructor(readonly response: FakeResponse) {}

  /** Takes in so many bytes of what is on its way. */
  take(bytes: number): void {
    this.events.push(...this.parser.feed(this.response.receive(bytes)))
  }

  /** The network breaks: what is on its way never comes. */
  cut(): void {
    this.isCut = true
    this.response.destroy()
  }

  /**
   * What it has got, in short: a topic's message as `topic=data`, an error as `code:topic`. Why the
   * stream ends is in {@link closed}.
   */
  get got(): string[] {
    if (!this.isCut) this.take(Infinity)
    const seen = this.events.slice(1).filter(({ type }) => type !== CONNECTION_EVENT)
    return seen.map(({ type, data }) => {
      if (type !== 'message') return `${type}=${data}`
      if (!data.startsWith('{')) return data
      const { error } = JSON.parse(data) as { error?: { code: string; topic?: string } }
      return error === undefined ? data : `${error.code}:${error.topic ?? ''}`
    })
  }

  /** What the goodbye says to programs: why the stream ends, and whether to come back. */
  get closed(): unknown {
    if (!this.isCut) this.take(Infinity)
    const found = this.events.filter(({ type }) => type === CONNECTION_EVENT)
    return found.map(({ data }) => (JSON.parse(data) as { closed: unknown }).closed).at(-1)
  }

  get lastEventId(): string {
    void this.got
    return this.parser.lastEventId
  }

  /** The status and body of an answer that is no stream. */
  get refusal(): [number, string] {
    return [this.response.statusCode, this.response.receive().toString()]
  }
}

/** What a page with its topics in its address does. */
export async function openPage(
  streamer: Streamer,
  topics: readonly string[],
  after?: string,
): Promise<Page> {
  const { id } = await streamer.newClient({ transient: true })
  for (const topic of topics) await streamer.subscribe(id, topic, { after })
  const response = new FakeResponse()
  await streamer.handle(fakeRequest(id, after), response.asResponse)
  return new Page(response)
}

/** A Streamer on a driver, a clock and responses that the test moves. */
export class Stage {
  readonly driver = new StubDriver()
  readonly clock = new ManualClock()
  readonly streamer: Streamer

  constructor(options: StreamerOptions = {}) {
    const { clock } = this
    this.streamer = new Streamer(this.driver, { clock, heartbeatInterval: 0, ...options })
  }

  /** Makes a client with these topics. */
  async client(id: string, ...topics: string[]): Promise<void> {
    await this.streamer.newCustomClient(id)
    for (const topic of topics) await this.streamer.subscribe(id, topic)
  }

  /** Connects as a client. */
  async connect(id: string, lastEventId?: string, highWaterMark?: number): Promise<Page> {
    const response = new FakeResponse(highWaterMark)
    await this.streamer.handle(fakeRequest(id, lastEventId), response.asResponse)
    return new Page(response)
  }

  /** Moves the clock, and lets happen what comes of it. */
  async wait(milliseconds: number): Promise<void> {
    this.clock.advance(milliseconds)
    await turns()
  }

  /** Closes, and fails where anything is left over. */
  async dispose(): Promise<void> {
    for (const { open } of this.driver.openings) open()
    const closing = this.streamer.close()
    await turns()
    await this.wait(6_000)
    await closing
    await turns()
    const { connections, clients, topics } = this.streamer.stats()
    const { pending: timers } = this.clock
    expect({ connections, clients, topics, timers }).toEqual({
      connections: 0,
      clients: 0,
      topics: 0,
      timers: 0,
    })
    expect(this.driver.closes).toBe(1)
  }
}
