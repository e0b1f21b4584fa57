import { setImmediate as turn } from 'node:timers/promises'
import { SubscribeError } from '../../../src/errors.js'
import type { StreamerOptions } from '../../../src/options.js'
import { doorOf } from '../../../src/http/door.js'
import { partsOf } from './parts.js'
import { Streamer } from '../../../src/streamer.js'
import { FakeResponse, fakeRequest } from '../fake-response.js'
import { ManualClock } from '../manual-clock.js'
import { Browser } from './browser.js'
import { ModelBroker } from './broker.js'
import type { Command, Naming, Setup } from './commands.js'

const TOPICS = ['a', 'b', 'c']
const CLIENT_TTL = 10_000
/** What browsers name in the model that no Streamer has given them. */
const MISNAMED = /^0123456789-4$|^nonsense$|-1000000000$|-0=forgedforge$/
const BOUNDS = {
  tight: { maxBytes: 6_000, maxBytesPerTopic: 2_500 },
  medium: { maxBytes: 30_000, maxBytesPerTopic: 9_000 },
  roomy: {},
}

/** A browser, and the client that it has on the server. */
interface Slot {
  browser: Browser
  id: string | undefined
  /** Whether the server knows that it is away, and since when, by the clock. */
  away: boolean
  awaySince: number
  /**
   * Whether its page needs no client of its own: each connection makes a transient one for the
   * topics of its address, from the position that it names.
   */
  readonly auto: boolean
  /** What an automatic client's topics were like when it connected last. */
  changes: Map<string, number>
}

/** A Streamer with clients, a broker and browsers, all of which the model moves. */
export class World {
  readonly clock = new ManualClock()
  readonly streamer: Streamer
  private readonly broker: ModelBroker
  private readonly slots: Slot[] = []
  private readonly maxBytes: number
  private readonly responses: FakeResponse[] = []
  private failures: unknown[] = []
  private names = 0
  private seed = 1

  constructor(private readonly setup: Setup) {
    this.broker = new ModelBroker(({ topic, kind, number }) => {
      for (const { browser } of this.slots) {
        browser.ledger(topic).reached(kind, number, browser.keepingUp)
      }
    })
    const options: StreamerOptions = {
      clientTTL: CLIENT_TTL,
      history: { ...BOUNDS[setup.bounds], maxAge: setup.maxAge },
      topicLinger: setup.topicLinger,
      slowClientTimeout: 5_000,
      heartbeat: setup.heartbeat,
      heartbeatInterval: setup.heartbeatInterval,
      maxConnectionAge: setup.maxConnectionAge,
      clock: this.clock,
      random: () => (this.seed = (this.seed * 16_807) % 2_147_483_647) / 2_147_483_647,
      newId: () => `client-${++this.names}`,
    }
    this.maxBytes = options.history?.maxBytes ?? 64 * 1024 * 1024
    this.streamer = new Streamer(this.broker, options)
    this.streamer.on('connect', ({ id }) => {
      const slot = this.slots.find((one) => one.id === id)
      if (slot !== undefined) slot.away = false
    })
    this.streamer.on('disconnect', ({ id, connected }) => {
      const slot = this.slots.find((one) => one.id === id)
      // A connection that was replaced may take its time.
      if (slot === undefined || slot.away || connected) return
      slot.away = true
      slot.awaySince = this.clock.now()
    })
    this.streamer.on('clientRemoved', ({ id, connected }, reason) => {
      const slot = this.slots.find((one) => one.id === id)
      if (reason !== 'expired' || slot === undefined) return
      if (!connected && this.clock.now() - slot.awaySince >= CLIENT_TTL) return
      this.failures.push(new Error(`${id} has expired before its time.`))
    })
    for (let i = 0; i < 3; i++) {
      this.slots.push(this.newSlot(`slot${i}`, i === 2))
    }
  }

  /** Does one thing. What it leads to at the end of the event loop's turn comes with `turn`. */
  async apply(command: Command): Promise<void> {
    const slot = 'client' in command ? this.slots[command.client]! : this.slots[0]!
    const topic = 'topic' in command ? TOPICS[command.topic]! : ''
    const { browser } = slot
    switch (command.do) {
      case 'subscribe':
        this.broker.opening = command.opening
        if (!slot.auto) this.subscribe(slot, topic, command.rewind)
        break
      case 'unsubscribe':
        if (slot.auto || slot.id === undefined) break
        void this.streamer.unsubscribe(slot.id, topic)
        browser.ledger(topic).end()
        break
      case 'publish':
        for (let i = 0; i < command.count; i++) this.broker.arrive(topic, command.size)
        break
      case 'gap':
        this.broker.gap(topic)
        break
      case 'fail':
        this.broker.fail(topic)
        break
      case 'connect':
        await this.connect(slot, command.naming, command.received)
        break
      case 'drop':
        this.drop(slot, command.received)
        break
      case 'receive':
      case 'stopReading':
      case 'read':
        browser.obey(command)
        break
      case 'remove':
        if (slot.auto || slot.id === undefined) break
        void this.streamer.removeClient(slot.id)
        await this.turn()
        break
      case 'wait':
        await this.turn()
        this.clock.advance(command.milliseconds)
        await this.turn()
        break
      case 'openLate':
        this.broker.settle()
        break
      case 'turn':
        await this.turn()
        break
    }
    if (command.do === 'publish' || command.do === 'turn') this.check()
  }

  /** Lets everything happen that is due now. */
  async turn(): Promise<void> {
    for (let i = 0; i < 4; i++) await turn()
    for (const slot of this.slots) this.notice(slot)
    if (this.failures.length > 0) throw this.failures[0]
  }

  /** Brings everybody back, lets them catch up, and asks what they are owed. */
  async finish(): Promise<void> {
    this.broker.settle()
    await this.turn()
    for (const slot of this.slots) {
      const { browser } = slot
      if (slot.auto ? !browser.connectedBefore : slot.id === undefined) continue
      for (let i = 0; i < 3 || browser.link === undefined; i++) {
        // What ends while it is being read to its end was about to end anyway.
        if (browser.link === undefined) await this.connect(slot, 'last', 1)
        browser.link?.response.read(Infinity)
        await this.turn()
        if (!slot.auto && slot.id === undefined) break
      }
      browser.receive()
      const { link } = browser
      if (link !== undefined) for (const ledger of browser.all) ledger.finish(link)
    }
  }

  /** Closes, and sees that nothing is left. */
  async close(): Promise<void> {
    this.broker.settle()
    await this.turn()
    for (const { browser } of this.slots) browser.link?.response.read(Infinity)
    await this.turn()
    let closed = false
    const closing = this.streamer.close().then(() => (closed = true))
    for (let i = 0; i < 8; i++) {
      this.broker.settle()
      await this.turn()
      if (!closed) this.clock.advance(1_000)
    }
    if (!closed) throw new Error('close() has not settled.')
    await closing
    for (const { browser } of this.slots) {
      const { link } = browser
      browser.receive()
      if (link !== undefined && !link.closed) throw new Error(`'Client closed' is not the last.`)
    }
    const left = {
      timers: this.clock.pending,
      connections: this.streamer.stats().connections,
      clients: this.streamer.totalClients,
      topics: this.streamer.stats().topics,
      open: this.broker.leftOpen,
      driver: this.broker.closed,
      listeners: this.responses.filter((one) => one.listenerCount('drain') > 0).length,
    }
    const clean = { ...left, timers: 0, connections: 0, clients: 0, topics: 0, open: 0 }
    if (JSON.stringify(left) !== JSON.stringify({ ...clean, driver: 1, listeners: 0 })) {
      throw new Error(`Left over after close(): ${JSON.stringify(left)}.`)
    }
  }

  private newSlot(name: string, auto: boolean): Slot {
    return {
      browser: new Browser(name),
      id: undefined,
      away: true,
      awaySince: 0,
      auto,
      changes: new Map(),
    }
  }

  private subscribe(slot: Slot, topic: string, rewind: number): void {
    this.ensureClient(slot)
    const ledger = slot.browser.ledger(topic)
    const again = this.streamer.getClient(slot.id!)!.topics.includes(topic)
    const period = again
      ? undefined
      : ledger.begin(rewind > 0 ? this.broker.pastOf(topic) : [], false, this.kept(topic, rewind))
    this.streamer.subscribe(slot.id!, topic, { rewind }).then(period?.opened, (error) => {
      if (!(error instanceof SubscribeError)) this.failures.push(error)
      period?.refused()
    })
  }

  /** How many of a topic's last frames a rewind finds. */
  private kept(topic: string, rewind: number): number {
    const { subscriptions } = partsOf(this.streamer)
    const open = subscriptions.open.find(({ name }) => name === topic)
    return Math.min(rewind, open?.history.length ?? 0)
  }

  private ensureClient(slot: Slot): void {
    if (slot.id !== undefined) return
    slot.id = `client-${this.names + 1}`
    slot.away = true
    slot.awaySince = this.clock.now()
    // It is made before the promise settles.
    void this.streamer.newClient()
  }

  private async connect(slot: Slot, naming: Naming, received: number): Promise<void> {
    const { browser } = slot
    // The server does not know yet that an older connection is dead.
    browser.lose(received)
    // Of a client that lasts, the server knows what it may have, whatever it names.
    const isMisnamed = naming !== 'last' && (naming !== 'forged' || slot.auto)
    if (isMisnamed) browser.lastEventId = this.misname(naming)
    if (browser.lastEventId === undefined && (slot.auto || browser.connectedBefore)) {
      for (const ledger of browser.all) ledger.forgive()
    }
    if (MISNAMED.test(browser.lastEventId ?? '')) {
      for (const ledger of browser.all) ledger.expectDoubt()
    }
    if (slot.auto && !(await this.makeAuto(slot))) return
    this.ensureClient(slot)
    const response = new FakeResponse(this.setup.highWaterMark)
    this.responses.push(response)
    let topics: string[] = []
    this.streamer.once('connect', (client) => (topics = client.topics))
    const request = fakeRequest(slot.id, browser.lastEventId)
    await this.streamer.handle(request, response.asResponse)
    browser.open(response, slot.id!, topics)
  }

  /** What a page with its topics in its address does: a new client for every connection. */
  private async makeAuto(slot: Slot): Promise<boolean> {
    const { browser } = slot
    const after = browser.lastEventId
    slot.id = undefined
    const { id } = await this.streamer.newClient({ transient: true })
    this.broker.beDirect()
    let refused: (() => void) | undefined
    try {
      const door = doorOf(this.streamer)
      for (const topic of TOPICS.slice(0, 2)) {
        const ledger = browser.ledger(topic)
        const period = ledger.subscribed ? undefined : ledger.begin(this.broker.pastOf(topic), true)
        refused = period?.refused
        await door.subscribe(id, topic, { after, named: true })
        period?.opened()
      }
    } catch (error) {
      if (!(error instanceof SubscribeError)) throw error
      refused?.()
      await this.streamer.removeClient(id)
      return false
    }
    slot.id = id
    const changes = new Map(this.broker.changes)
    for (const topic of TOPICS) {
      if (changes.get(topic) !== slot.changes.get(topic)) browser.ledger(topic).expectDoubt()
    }
    slot.changes = changes
    return true
  }

  private misname(naming: Naming): string {
    if (naming === 'foreign') return '0123456789-4'
    if (naming === 'malformed') return 'nonsense'
    // What it may never have been given: everything of the past.
    if (naming === 'forged') return `${this.epoch ?? 'unknown'}-0=forgedforge`
    return `${this.epoch ?? 'unknown'}-1000000000`
  }

  private get epoch(): string | undefined {
    for (const { browser } of this.slots) {
      const epoch = /^([0-9a-f]+)-\d+(=|$)/.exec(browser.lastEventId ?? '')?.[1]
      if (epoch !== undefined) return epoch
    }
    return undefined
  }

  private drop(slot: Slot, received: number): void {
    const { link } = slot.browser
    slot.browser.lose(received)
    link?.response.destroy()
  }

  /** Takes note of what the server did to a client by itself. */
  private notice(slot: Slot): void {
    const { browser, id } = slot
    if (browser.link?.response.closed) {
      browser.receive()
      browser.link = undefined
    }
    if (id === undefined) return
    const alive = this.streamer.getClient(id)
    const topics = alive?.topics.toSorted().join()
    if (alive !== undefined) {
      if (topics !== browser.topics.toSorted().join()) throw new Error(`${id} has ${topics}.`)
      if (alive.connected || this.clock.now() - slot.awaySince < CLIENT_TTL) return
      throw new Error(`${id} has outlived its TTL.`)
    }
    slot.id = undefined
    if (slot.auto) return
    this.slots[this.slots.indexOf(slot)] = this.newSlot(browser.name, false)
  }

  private check(): void {
    const { history } = this.streamer.stats()
    if (history.bytes > this.maxBytes) throw new Error(`The history has ${history.bytes} bytes.`)
    for (const { mostWaiting } of this.responses) {
      if (mostWaiting > this.setup.highWaterMark + 65_536 + 10) {
        throw new Error(`${mostWaiting} bytes waited for one client.`)
      }
    }
  }
}
