import { randomBytes } from 'node:crypto'
import { CHAT, COMPANIES, LIKES, tickerTopic } from './topics.js'

/** Hands one message to the broker. */
export type Publish = (topic: string, payload: string) => void

const STEP = 50
const TICK_EVERY = 1_000

/** A part that publishes now and then. */
interface Source {
  due: number
  publish(): number
}

/**
 * Publishes all messages of the demo. Each payload has its number in its topic (`seq`), the time
 * (`at`) and the process (`source`), from which the page finds out whether a message is missing or
 * came twice.
 */
export class Publisher {
  /** Tells the messages of two demos on one broker apart: each counts by itself. */
  readonly #source = randomBytes(3).toString('hex')
  readonly #numbers = new Map<string, number>()
  readonly #sources: Source[]
  readonly #publish: Publish
  #timer: NodeJS.Timeout | undefined
  #likes = 0

  constructor(publish: Publish, ticks: readonly string[]) {
    this.#publish = publish
    const now = performance.now()
    this.#sources = [
      ...ticks.map((topic, index) =>
        // Spread over the second, so that the topics don't all publish at once.
        this.#tick(topic, now + (index * TICK_EVERY) / ticks.length),
      ),
      ...COMPANIES.map(({ symbol, price }) => this.#price(symbol, price, now)),
    ]
  }

  get likes(): number {
    return this.#likes
  }

  start(): void {
    this.#timer = setInterval(() => {
      const now = performance.now()
      for (const source of this.#sources) {
        if (source.due > now) continue
        const next = source.due + source.publish()
        // A process that was stopped for a while does not send the missed messages.
        source.due = next > now ? next : now + STEP
      }
    }, STEP)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  like(): number {
    this.#likes += 1
    this.#send(LIKES, { likes: this.#likes })
    return this.#likes
  }

  chat(name: string, text: string): void {
    this.#send(CHAT, { name, text })
  }

  #send(topic: string, content: Record<string, unknown>): void {
    const seq = (this.#numbers.get(topic) ?? 0) + 1
    this.#numbers.set(topic, seq)
    this.#publish(topic, JSON.stringify({ seq, at: Date.now(), source: this.#source, ...content }))
  }

  #tick(topic: string, due: number): Source {
    return {
      due,
      publish: () => {
        this.#send(topic, {})
        return TICK_EVERY
      },
    }
  }

  #price(symbol: string, opening: number, now: number): Source {
    const topic = tickerTopic(symbol)
    let price = opening
    let drift = 0
    return {
      due: now + Math.random() * 500,
      publish: () => {
        // A random walk with some momentum, pulled back to the opening price.
        drift = drift * 0.85 + (Math.random() - 0.5) * 0.0016 * opening
        price += drift + (opening - price) * 0.004
        this.#send(topic, {
          symbol,
          price: Number(price.toFixed(2)),
          change: Number((((price - opening) / opening) * 100).toFixed(2)),
        })
        return 350 + Math.random() * 300
      },
    }
  }
}
