import type { Driver, Sink, Subscription } from '../../src/driver.js'

/** One call of `subscribe`, which waits for the test. */
export interface Opening {
  topic: string
  sink: Sink
  /** Has `subscribe` resolve. */
  open(): void
  /** Has `subscribe` reject. */
  refuse(error: Error): void
  /** How often `close` was called on it. */
  closes: number
  /** Has the `close` that waits settle, where `slowClose` is set. */
  closed(error?: Error): void
}

/** A driver whose every answer a test gives. */
export class StubDriver implements Driver {
  readonly openings: Opening[] = []
  closes = 0
  /** Whether `subscribe` resolves by itself. */
  direct = true
  /** Whether a subscription's `close` waits. */
  slowClose = false

  /** The newest subscription of a topic. */
  last(topic: string): Opening {
    const found = this.openings.findLast((opening) => opening.topic === topic)
    if (found === undefined) throw new Error(`${topic} was never asked for.`)
    return found
  }

  publish(topic: string, payload: string | Uint8Array): void {
    this.last(topic).sink.message(payload)
  }

  subscribe(topic: string, sink: Sink): Promise<Subscription> {
    return new Promise((resolve, reject) => {
      let settle: (error?: Error) => void = () => undefined
      const closed = new Promise<void>((done, failed) => {
        settle = (error) => (error === undefined ? done() : failed(error))
      })
      const opening: Opening = {
        topic,
        sink,
        open: () => resolve({ close }),
        refuse: reject,
        closes: 0,
        closed: (error) => settle(error),
      }
      const close = async () => {
        opening.closes++
        if (this.slowClose) await closed
      }
      this.openings.push(opening)
      if (this.direct) opening.open()
    })
  }

  async close(): Promise<void> {
    this.closes++
  }
}
