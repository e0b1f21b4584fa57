import { setImmediate as turn } from 'node:timers/promises'
import { LogUnavailableError, SubscribeError } from '../../../src/errors.js'
import type { StreamerOptions } from '../../../src/options.js'
import { Streamer } from '../../../src/streamer.js'
import { doorOf } from '../../../src/http/door.js'
import { partsOf } from './parts.js'
import { FakeResponse, fakeRequest } from '../fake-response.js'
import { ManualClock } from '../manual-clock.js'
import type { LogServer } from '../stub-log.js'
import { StubLog } from '../stub-log.js'
import { Browser, NO_TIE, placeOf } from './browser.js'
import type { Naming } from './commands.js'
import type { LogCommand, LogSetup } from './log-commands.js'

const TOPICS = ['a', 'b', 'c']
const CLIENT_TTL = 60_000
const MISNAMED = /^0123456789-4$|^nonsense$|-1000000000$|-0=forgedforge$/
const BOUNDS = {
  tight: { maxBytes: 6_000, maxBytesPerTopic: 2_500 },
  medium: { maxBytes: 30_000, maxBytesPerTopic: 9_000 },
  roomy: {},
}

/** A process that serves, reading the log. */
interface Server {
  readonly driver: LogServer
  readonly streamer: Streamer
  /** The topics of which it may have missed something. */
  readonly gaps: Set<string>
}

/** A browser, and the client that it has, on the server that it was connected to last. */
interface Slot {
  readonly browser: Browser
  readonly auto: boolean
  id: string | undefined
  server: Server
  /** The topics of which its server may have missed something before it came there. */
  gaps: ReadonlySet<string>
}

/** Several Streamers on one log, with browsers that go from one to the other. */
export class LogWorld {
  private readonly clock = new ManualClock()
  private readonly log = new StubLog()
  private readonly servers: Server[] = []
  private readonly slots: Slot[] = []
  private readonly maxBytes: number
  private readonly responses: FakeResponse[] = []
  private readonly failures: unknown[] = []
  private names = 0
  private published = 0
  private seed = 1

  constructor(private readonly setup: LogSetup) {
    const options: StreamerOptions = {
      clientTTL: CLIENT_TTL,
      history: { ...BOUNDS[setup.bounds], maxAge: setup.maxAge },
      topicLinger: setup.topicLinger,
      slowClientTimeout: 5_000,
      heartbeat: setup.heartbeat,
      heartbeatInterval: setup.heartbeatInterval,
      clock: this.clock,
      random: () => (this.seed = (this.seed * 16_807) % 2_147_483_647) / 2_147_483_647,
    }
    this.maxBytes = options.history?.maxBytes ?? 64 * 1024 * 1024
    for (let i = 0; i < 3; i++) {
      const driver = this.log.server()
      this.servers.push({ driver, streamer: new Streamer(driver, options), gaps: new Set() })
    }
    // A browser that is behind what was dropped is told so for all its topics.
    const mayBeTold = (index: number) => (lastEventId: string, topic: string) => {
      if (this.slots[index]!.gaps.has(topic)) return true
      const [number, tie, epoch, replay, replayed] = placeOf(lastEventId)
      const cursor = tie === NO_TIE ? number : number - 1
      const through = replay > 0 ? Math.min(replayed, cursor) : cursor
      return epoch !== this.log.epoch || !(through >= this.log.trimmedThrough)
    }
    for (let i = 0; i < 3; i++) {
      const browser = new Browser(`slot${i}`, mayBeTold(i))
      const server = this.servers[0]!
      this.slots.push({ browser, auto: i === 2, id: undefined, server, gaps: new Set() })
    }
  }

  async apply(command: LogCommand): Promise<void> {
    const slot = 'client' in command ? this.slots[command.client]! : this.slots[0]!
    const server = 'server' in command ? this.servers[command.server]! : this.servers[0]!
    const topic = 'topic' in command ? TOPICS[command.topic]! : ''
    const { browser } = slot
    switch (command.do) {
      case 'subscribe':
        if (!slot.auto) await this.subscribe(slot, topic, command.rewind)
        break
      case 'unsubscribe':
        if (slot.auto || slot.id === undefined) break
        await slot.server.streamer.unsubscribe(slot.id, topic)
        browser.ledger(topic).end()
        break
      case 'publish':
        for (let i = 0; i < command.count; i++) this.publish(command)
        break
      case 'gap':
        server.driver.pump()
        server.gaps.add(topic)
        server.driver.sinkOf(topic)?.gap('The model says so.')
        this.reached(topic, 'gap', server)
        break
      case 'fail': {
        const sink = server.driver.sinkOf(topic)
        if (sink === undefined) break
        server.driver.pump()
        this.reached(topic, 'failure', server)
        sink.fail(new Error('The model says so.'))
        break
      }
      case 'connect':
        await this.connect(slot, server, command.naming, command.received)
        break
      case 'drop':
        this.drop(slot, command.received)
        break
      case 'receive':
      case 'stopReading':
      case 'read':
        browser.obey(command)
        break
      case 'trim':
        this.log.trim(Math.floor(this.log.last * command.part))
        break
      case 'remake':
        this.log.remake()
        for (const { gaps } of this.servers) for (const name of TOPICS) gaps.add(name)
        for (const { browser: one } of this.slots) for (const it of one.all) it.expectDoubt()
        break
      case 'lag':
        server.driver.lags = command.lags
        break
      case 'refuse':
        server.driver.refusals = command.times
        // After so many in a row, what can't be read counts as lost.
        if (command.times > 1)
          for (const one of this.slots) for (const it of one.browser.all) it.expectDoubt()
        break
      case 'wait':
        await this.turn()
        this.clock.advance(command.milliseconds)
        await this.turn()
        break
      case 'turn':
        await this.turn()
        break
    }
    await Promise.resolve()
    this.check()
  }

  /** Lets everything happen that is due now. */
  async turn(): Promise<void> {
    for (let i = 0; i < 6; i++) await turn()
    for (const { driver } of this.servers) if (!driver.lags) driver.pump()
    for (let i = 0; i < 6; i++) await turn()
    for (const slot of this.slots) {
      if (!slot.browser.link?.response.closed) continue
      slot.browser.receive()
      slot.browser.link = undefined
    }
    if (this.failures.length > 0) throw this.failures[0]
  }

  /** Brings everybody back, on yet another server, and asks what they are owed. */
  async finish(): Promise<void> {
    for (const { driver } of this.servers) {
      driver.lags = false
      driver.refusals = 0
    }
    await this.turn()
    for (const [index, slot] of this.slots.entries()) {
      const { browser } = slot
      if (slot.id === undefined && !(slot.auto && browser.connectedBefore)) continue
      const server = this.servers[index % this.servers.length]!
      for (let calm = 0, round = 0; calm < 4; round++) {
        if (round > 100) throw new Error(`${browser.name} does not come to rest.`)
        calm = browser.link === undefined ? 0 : calm + 1
        if (browser.link === undefined) await this.connect(slot, server, 'last', 1)
        browser.link?.response.read(Infinity)
        await this.turn()
        // What could not be read is tried again.
        this.clock.advance(1_000)
        await this.turn()
        if (slot.server.driver.reading > 0) calm = 0
      }
      browser.receive()
      const { link } = browser
      if (link !== undefined) for (const ledger of browser.all) ledger.finish(link)
    }
  }

  async close(): Promise<void> {
    for (const { browser } of this.slots) browser.link?.response.read(Infinity)
    await this.turn()
    const closing = Promise.all(this.servers.map(({ streamer }) => streamer.close()))
    for (let i = 0; i < 8; i++) {
      await this.turn()
      this.clock.advance(1_000)
    }
    await closing
    const left = {
      timers: this.clock.pending,
      open: this.servers.reduce((sum, { driver }) => sum + driver.left, 0),
      closed: this.servers.map(({ driver }) => driver.closes).join(),
    }
    if (JSON.stringify(left) !== '{"timers":0,"open":0,"closed":"1,1,1"}') {
      throw new Error(`Left over after close(): ${JSON.stringify(left)}.`)
    }
  }

  private publish({ topics, size, step }: LogCommand & { do: 'publish' }): void {
    const names = topics.map((topic) => TOPICS[topic]!)
    // The oracle knows before anybody can be given it.
    const number = ++this.published
    for (const name of names) {
      for (const { browser } of this.slots)
        browser.ledger(name).reached('message', number, undefined)
    }
    this.log.publish(names, `${number}:${'x'.repeat(size)}`, step)
  }

  private reached(topic: string, kind: 'gap' | 'failure', server: Server): void {
    for (const slot of this.slots) {
      if (slot.server === server && slot.id !== undefined) {
        slot.browser.ledger(topic).reached(kind, 0, undefined)
      }
    }
  }

  private async subscribe(slot: Slot, topic: string, rewind: number): Promise<void> {
    if (!(await this.ensureClient(slot))) return
    const { streamer, driver } = slot.server
    const ledger = slot.browser.ledger(topic)
    if (streamer.getClient(slot.id!)!.topics.includes(topic)) return
    if (driver.epoch !== this.log.epoch) driver.pump()
    const from = rewind > 0 ? 0 : driver.position
    // A rewind brings the gaps of this server too.
    if (rewind > 0) slot.gaps = new Set([...slot.gaps, topic])
    const period = ledger.begin(this.pastOf(topic, from), false)
    try {
      await streamer.subscribe(slot.id!, topic, { rewind })
      period.opened()
    } catch (error) {
      if (!(error instanceof SubscribeError)) throw error
      period.refused()
    }
  }

  private pastOf(topic: string, after: number) {
    // What was dropped there may still be in a history.
    return this.log.past
      .filter(({ number, topics }) => number > after && topics.includes(topic))
      .map(({ payload }) => ({ kind: 'message' as const, number: Number.parseInt(payload) }))
  }

  private async ensureClient(slot: Slot): Promise<boolean> {
    if (slot.id !== undefined) return true
    return this.makeClient(slot, slot.server, false)
  }

  private async makeClient(slot: Slot, server: Server, transient: boolean): Promise<boolean> {
    const id = `client-${++this.names}`
    try {
      await server.streamer.newCustomClient(id, { transient })
    } catch (error) {
      if (!(error instanceof LogUnavailableError)) throw error
      return false
    }
    slot.id = id
    slot.server = server
    slot.gaps = new Set(server.gaps)
    return true
  }

  private async connect(
    slot: Slot,
    server: Server,
    naming: Naming,
    received: number,
  ): Promise<void> {
    const { browser } = slot
    browser.lose(received)
    // Of a client that lasts, the server knows what it may have, whatever it names.
    const isMisnamed = naming !== 'last' && (naming !== 'forged' || slot.auto)
    if (isMisnamed) browser.lastEventId = this.misname(naming)
    if (browser.lastEventId === undefined && (slot.auto || browser.connectedBefore)) {
      for (const ledger of browser.all) ledger.forgive()
    }
    const ready = slot.auto ? await this.makeAuto(slot, server) : await this.adopt(slot, server)
    if (!ready) return
    const position = browser.lastEventId
    // One of a log that is no more says nothing either.
    const { epoch } = slot.server.driver
    const foreign = position !== undefined && !position.startsWith(`${epoch}-`)
    if (foreign || MISNAMED.test(position ?? '')) {
      for (const ledger of browser.all) ledger.expectDoubt()
      // The answer may wait, and what is subscribed to meanwhile is told of too.
      slot.gaps = new Set(TOPICS)
      // It goes on from now, which is not the past of a server that is behind.
      slot.server.driver.pump()
    }
    const response = new FakeResponse(this.setup.highWaterMark)
    this.responses.push(response)
    let topics: string[] = []
    slot.server.streamer.once('connect', (client) => (topics = client.topics))
    const request = fakeRequest(slot.id, browser.lastEventId)
    await slot.server.streamer.handle(request, response.asResponse)
    browser.open(response, slot.id!, topics)
    // Of a position that is not read yet, the first message waits.
    if (response.mostWaiting === 0) browser.link!.topics = undefined
  }

  /** What a page with its topics in its address does: a new client for every connection, exact. */
  private async makeAuto(slot: Slot, server: Server): Promise<boolean> {
    const { browser } = slot
    const after = browser.lastEventId
    for (const ledger of browser.all) ledger.move()
    slot.id = undefined
    if (!(await this.makeClient(slot, server, true))) return false
    let refused: (() => void) | undefined
    try {
      for (const topic of TOPICS.slice(0, 2)) {
        const ledger = browser.ledger(topic)
        const past = this.pastOf(topic, 0)
        const period = ledger.subscribed ? undefined : ledger.begin(past, true)
        refused = period?.refused
        await doorOf(server.streamer).subscribe(slot.id!, topic, { after, named: true })
        period?.opened()
      }
    } catch (error) {
      if (!(error instanceof SubscribeError)) throw error
      refused?.()
      await server.streamer.removeClient(slot.id!)
      slot.id = undefined
      return false
    }
    return true
  }

  /** What a directory does: another server takes over the client, with what it is subscribed to. */
  private async adopt(slot: Slot, server: Server): Promise<boolean> {
    const { id, server: former, browser } = slot
    if (id === undefined) return this.makeClient(slot, server, false)
    if (former === server) return true
    const client = former.streamer.getClient(id)!
    const { delivery } = partsOf(former.streamer)
    // The first message there shows that it is without them.
    for (const { topic } of client.failed) browser.ledger(topic.name).forgive()
    const topics = [...client.memberships].map((one) => ({
      name: one.topic.name,
      since: delivery.sinceOf(one),
    }))
    browser.lastEventId ??= delivery.positionOf(client)
    const [before, beforeServer] = [id, former]
    if (!(await this.makeClient(slot, server, false))) return false
    const adopted = server.streamer.getClient(slot.id!)!
    try {
      for (const { name, since } of topics) {
        await partsOf(server.streamer).subscriptions.subscribe(adopted, name, { since })
      }
    } catch (error) {
      if (!(error instanceof SubscribeError)) throw error
      await server.streamer.removeClient(slot.id!)
      slot.id = before
      slot.server = beforeServer
      return false
    }
    await former.streamer.removeClient(before)
    for (const ledger of browser.all) ledger.move()
    return true
  }

  private misname(naming: Naming): string {
    if (naming === 'foreign') return '0123456789-4'
    if (naming === 'malformed') return 'nonsense'
    // What it may never have been given: everything of the past.
    if (naming === 'forged') return `${this.log.epoch}-0=forgedforge`
    return `${this.log.epoch}-1000000000`
  }

  private drop(slot: Slot, received: number): void {
    const { link } = slot.browser
    slot.browser.lose(received)
    link?.response.destroy()
    if (slot.auto) slot.id = undefined
  }

  private check(): void {
    for (const { streamer } of this.servers) {
      const { history } = streamer.stats()
      if (history.bytes > this.maxBytes) throw new Error(`The history has ${history.bytes} bytes.`)
    }
    for (const { mostWaiting } of this.responses) {
      if (mostWaiting > this.setup.highWaterMark + 65_536 + 10) {
        throw new Error(`${mostWaiting} bytes waited for one client.`)
      }
    }
  }
}
