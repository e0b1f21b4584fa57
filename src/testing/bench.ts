import { randomUUID } from 'node:crypto'
import type { Driver } from '../driver.js'
import type { LogSubscription } from '../log.js'
import type { Capability, DriverHarness, Member } from './harness.js'
import { recordingSink } from './sink.js'
import type { RecordingSink } from './sink.js'
import { answerOf, BOUND, check, inTime, until } from './until.js'

/** One case of the contract, before it is bound to a harness. */
export interface Definition {
  /** The rule of {@link Driver} that it belongs to. */
  rule: number
  name: string
  needs?: readonly Capability[]
  /** Whether the driver is closed while the broker is away, and can't take from it what it has. */
  away?: boolean
  run(bench: Bench): Promise<void>
}

/** A topic that is open. */
export interface OpenTopic {
  name: string
  sink: RecordingSink
  subscription: LogSubscription
}

/** What a case works with: it remembers what was made, and sees to it that it goes again. */
export class Bench {
  readonly #drivers: Pick<Driver, 'close'>[] = []
  readonly bound: number

  constructor(readonly harness: DriverHarness) {
    this.bound = harness.bound ?? BOUND
  }

  async driver(): Promise<Driver> {
    return this.keep(await this.harness.create())
  }

  /** Has `driver` closed at the end. */
  keep<D extends Pick<Driver, 'close'>>(driver: D): D {
    this.#drivers.push(driver)
    return driver
  }

  /** What the harness has for a capability that the case says it needs. */
  use<C extends Member>(capability: C): NonNullable<DriverHarness[C]> {
    const found = this.harness[capability]
    check(found !== undefined, `The harness has no ${capability}.`)
    return (typeof found === 'function' ? found.bind(this.harness) : found) as NonNullable<
      DriverHarness[C]
    >
  }

  async topic(label: string): Promise<string> {
    if (this.harness.topic) return this.harness.topic(label)
    return `contract.${label}.${randomUUID().slice(0, 8)}`
  }

  async open(driver: Driver, name: string): Promise<OpenTopic> {
    const sink = recordingSink()
    const subscribing = driver.subscribe(name, sink)
    const subscription = await inTime(`subscribe to ${name} settles`, subscribing, this.bound)
    return { name, sink, subscription }
  }

  /** Opens as many topics at once. */
  async openMany(driver: Driver, label: string, count: number): Promise<OpenTopic[]> {
    const names = await Promise.all(
      Array.from({ length: count }, (_, index) => this.topic(`${label}${index}`)),
    )
    return Promise.all(names.map((name) => this.open(driver, name)))
  }

  async publish(topic: string, payload: string | Uint8Array): Promise<void> {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    const publishing = Promise.resolve(this.harness.publish(topic, bytes))
    await inTime(`publish to ${topic}`, publishing, this.bound)
  }

  async close(topic: OpenTopic): Promise<void> {
    await inTime(`closing ${topic.name}`, topic.subscription.close(), this.bound)
  }

  /** Publishes to a topic and sees the message arrive: it works. */
  async works({ name, sink }: OpenTopic): Promise<void> {
    const text = await this.send(name)
    await sink.until(`a message on ${name}`, () => sink.texts().includes(text), this.bound)
  }

  /** Publishes in the wake of a fault, where a message may still be lost if a gap says so. */
  async worksAgain({ name, sink }: OpenTopic): Promise<void> {
    for (let attempt = 0; attempt < 10; attempt++) {
      const gaps = sink.count('gap')
      const text = await this.send(name)
      const hasArrived = () => sink.texts().includes(text)
      const isSettled = () => hasArrived() || sink.count('gap') > gaps
      await sink.until(`a message on ${name}, or a gap`, isSettled, this.bound)
      if (hasArrived()) return
    }
    throw new Error(`Expected ${name} to work again, but there is one gap after the other.`)
  }

  private async send(name: string): Promise<string> {
    const text = `works ${randomUUID()}`
    // The publisher may be on its way back too, after a restart.
    const publish = () =>
      this.publish(name, text).then(
        () => true,
        () => false,
      )
    await until(`a publish to ${name}`, publish, this.bound)
    return text
  }

  async run(definition: Pick<Definition, 'run' | 'away'>): Promise<void> {
    const before = this.harness.leftovers && (await this.count('leftovers'))
    try {
      await definition.run(this)
    } finally {
      await Promise.all(
        this.#drivers.map((driver) => inTime('closing a driver', driver.close(), this.bound)),
      )
    }
    if (before !== undefined && !definition.away) await this.leftovers(before)
  }

  /** What the harness counts on the broker now. */
  count(capability: 'leftovers' | 'subscriptions'): Promise<number> {
    const count = this.use(capability)
    return answerOf(`${capability}() to count`, async () => count(), this.bound)
  }

  /** Waits until no more than so much is left on the broker. */
  async leftovers(expected: number): Promise<void> {
    let count = Infinity
    const test = async () => (count = await this.count('leftovers')) <= expected
    await until('the broker to let go', test, this.bound).catch((cause: unknown) => {
      const message = `Expected ${expected} left on the broker, there are ${count}.`
      throw new Error(message, { cause })
    })
  }
}
