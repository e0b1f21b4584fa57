import { until } from '../../test/support/until.js'
import type { ChaosProxy } from './chaos-proxy.js'
import { CheckingClient } from './checking-client.js'
import type { Messages } from './publishing.js'
import { SequenceLedger } from './sequence-ledger.js'
import { Random } from './random.js'

export interface AudienceSettings {
  name: string
  seed: number
  clients: number
  /** How many topics there are, and how many each client has. */
  topics: number
  each: number
  /** Messages in a second, over all topics. */
  rate: number
  /** The text of a message, in bytes; by chance one in fifty is `large`. */
  size?: number
  large?: number
}

/** How often the publisher has its turn, in milliseconds. */
const TICK = 50

/** Checking clients behind a chaos proxy, what they write down, and a publisher for them. */
export abstract class Audience<Settings extends AudienceSettings = AudienceSettings> {
  readonly ledger = new SequenceLedger()
  readonly clients: CheckingClient[] = []
  /** The newest number of each topic. */
  readonly newest = new Map<string, number>()
  published = 0
  proxy!: ChaosProxy
  /** Every line that a server has written on stderr. */
  complaints = ''
  /** Which life of what serves them this is: see {@link CheckingClient}. */
  life = 0
  /** How long it took, after the last fault, until everybody had everything. */
  settled = 0
  readonly topics: string[]
  private made = 0
  private readonly random: Random
  private publisher: NodeJS.Timeout | undefined
  private publishing: Promise<void> | undefined
  private debt = 0

  protected constructor(readonly settings: Settings) {
    this.random = new Random(settings.seed)
    this.topics = Array.from({ length: settings.topics }, (_, i) => `${settings.name}.${i}`)
  }

  /** How long a client that is away is kept, in milliseconds. */
  protected abstract get clientTTL(): number
  /** @returns whether the broker has confirmed in time that it has them. */
  protected abstract send(messages: Messages): Promise<boolean>
  protected abstract killServers(): Promise<void>

  /** Where clients connect to. */
  protected get origin(): string {
    return `http://127.0.0.1:${this.proxy.port}`
  }

  /** Ends all faults that are still there. */
  protected heal(): void {
    this.proxy.healAll()
    for (const client of this.clients) {
      client.read(true)
      if (this.proxy.of(client.localPort)?.vanished) client.comeBack()
    }
  }

  /** Ends everything. In the middle of a start there may be less of it. */
  async strike(): Promise<void> {
    await this.publishOff()
    for (const client of this.clients) client.stop()
    await this.killServers()
    await (this.proxy as ChaosProxy | undefined)?.close()
  }

  /** Fills the seats with clients of both kinds, not all at once. */
  protected async seat(): Promise<void> {
    for (let i = 0; i < this.settings.clients; i++)
      this.addClient(i % 2 === 0 ? 'auto' : 'explicit')
    // What is tested here is not how fast a server takes connections.
    for (let i = 0; i < this.clients.length; i += 50) {
      await Promise.all(this.clients.slice(i, i + 50).map((client) => client.start()))
    }
  }

  /** @param late Whether it comes when messages are under way. */
  addClient(kind: 'auto' | 'explicit', late = false, topics?: string[]): CheckingClient {
    const client = new CheckingClient({
      name: `${this.settings.name} client ${this.made++}`,
      topics: topics ?? this.random.sample(this.topics, this.settings.each),
      kind,
      origin: () => this.origin,
      life: () => this.life,
      ledger: this.ledger,
      late,
      clientTTL: this.clientTTL,
    })
    this.clients.push(client)
    return client
  }

  /** From now on there are messages. */
  publishOn(): void {
    let last = performance.now()
    this.publisher = setInterval(() => {
      if (this.publishing !== undefined) return
      const now = performance.now()
      // A broker that was away for long is not flooded when it is back.
      this.debt += (this.settings.rate * Math.min(now - last, 500)) / 1_000
      last = now
      const count = Math.floor(this.debt)
      this.debt -= count
      const topics = Array.from({ length: count }, () => this.random.pick(this.topics))
      void this.publish(topics)
    }, TICK)
  }

  async publishOff(): Promise<void> {
    clearInterval(this.publisher)
    await this.publishing
  }

  /** One message in each of these topics, in this order. */
  async publish(topics: readonly string[], size?: number): Promise<void> {
    const { size: small = 100, large } = this.settings
    const numbers: [topic: string, number: number][] = []
    const messages = topics.map((topic): [string, string] => {
      const number = (this.newest.get(topic) ?? 0) + 1
      numbers.push([topic, number])
      this.newest.set(topic, number)
      const isLarge = large !== undefined && this.random.next() < 0.02
      return [topic, `${topic} ${number} `.padEnd(size ?? (isLarge ? large : small), 'x')]
    })
    this.published += messages.length
    const publishing = this.send(messages).then((confirmed) => {
      // A publisher that lost its own link does not know whether there is anything to receive.
      if (!confirmed) for (const message of numbers) this.ledger.doubt(...message)
    })
    this.publishing = publishing
    await publishing
    if (this.publishing === publishing) this.publishing = undefined
  }

  /** A client leaves for good; nothing more is due to it. */
  dismiss(client: CheckingClient): void {
    client.stop()
    this.clients.splice(this.clients.indexOf(client), 1)
    this.ledger.close(client.settings.name)
  }

  get allConnected(): boolean {
    return this.clients.every((client) => client.connected)
  }

  async connected(within = 30_000): Promise<void> {
    await until('all clients to be connected', () => this.allConnected, within)
  }

  /**
   * Ends all faults and waits until everybody has the newest message of each topic; who has not
   * in the end has lost a tail.
   */
  async settle(): Promise<void> {
    await this.publishOff()
    this.heal()
    await this.connected(60_000)
    const all = () => this.ledger.behind(this.newest).length === 0
    let isFirst = true
    const began = performance.now()
    for (let quiet = 0; quiet < 15 && performance.now() - began < 180_000;) {
      // More than once, as a broker may itself only just be coming back; but not while something
      // is on its way, however slowly.
      const received = this.ledger.received
      if (quiet > 0 || isFirst) await this.publish(this.topics)
      isFirst = false
      const settled = await until('the tail', all, 2_000).catch(() => false)
      this.settled = performance.now() - began
      if (settled) return
      quiet = this.ledger.received === received ? quiet + 1 : 0
    }
    for (const words of this.ledger.behind(this.newest)) this.ledger.violation('tail', words)
  }
}
