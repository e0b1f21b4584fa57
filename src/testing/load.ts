import type { Bench, OpenTopic } from './bench.js'
import { check, inTime } from './until.js'
import type { SinkEntry } from './sink.js'

/** Publishes 1, 2, 3, … to some topics without end, and knows which of them the broker has. */
export class Load {
  /** The numbers that the broker has, per topic. */
  readonly #confirmed = new Map<string, number[]>()
  readonly #running: Promise<void>
  #stopped = false
  #last = 0

  constructor(
    private readonly bench: Bench,
    private readonly topics: readonly OpenTopic[],
  ) {
    for (const { name } of topics) this.#confirmed.set(name, [])
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const number = ++this.#last
      for (const { name } of this.topics) {
        try {
          await this.bench.harness.publish(name, Buffer.from(String(number)))
          this.#confirmed.get(name)?.push(number)
        } catch {
          // The broker may have it or not, so that it is missing later shows nothing.
          continue
        }
      }
      // A pace that leaves the broker and the driver some time of the machine.
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  /** Waits until every topic has had so many more messages that were published from now on. */
  async more(count: number): Promise<void> {
    const from = this.#last
    await Promise.all(
      this.topics.map(({ name, sink }) => {
        const isNew = (entry: SinkEntry) => entry.type === 'message' && numberOf(entry) > from
        const test = () => sink.entries.filter(isNew).length >= count
        return sink.until(`${count} new messages on ${name}`, test, this.bench.bound)
      }),
    )
  }

  /** Stops, waits for what the broker has, and holds every topic to the promise. */
  async end(): Promise<void> {
    this.#stopped = true
    await inTime('the last publish', this.#running, this.bench.bound)
    for (const { name, sink } of this.topics) {
      const confirmed = this.#confirmed.get(name) ?? []
      const last = confirmed.at(-1) ?? 0
      const test = () =>
        sink.entries.some((entry) => entry.type === 'message' && numberOf(entry) >= last)
      await sink.until(`message ${last} on ${name}`, test, this.bench.bound)
      checkNoSilentLoss(name, sink.entries, confirmed)
    }
  }

  /** Stops, whatever became of it. */
  async stop(): Promise<void> {
    this.#stopped = true
    await inTime('the last publish', this.#running, this.bench.bound)
  }
}

/**
 * Throws unless the numbers come in order and once each, and a `gap` stands wherever one that
 * the broker had is missing.
 */
export function checkNoSilentLoss(
  topic: string,
  entries: readonly SinkEntry[],
  confirmed: readonly number[],
): void {
  let last = 0
  let gap = false
  let next = 0
  for (const entry of entries) {
    check(entry.type !== 'fail', `Expected ${topic} to go on, but it failed.`)
    if (entry.type === 'gap') {
      gap = true
      continue
    }
    const number = numberOf(entry)
    check(number > last, `Expected ${topic} in order and without doubles: ${number} after ${last}.`)
    const missing: number[] = []
    for (; next < confirmed.length && (confirmed[next] as number) < number; next++) {
      if ((confirmed[next] as number) > last) missing.push(confirmed[next] as number)
    }
    check(
      gap || missing.length === 0,
      `Expected ${topic} to have everything or a gap: between ${last} and ${number}, ` +
        `${missing.length} messages that the broker had are missing, and there is no gap.`,
    )
    last = number
    gap = false
  }
}

function numberOf(entry: SinkEntry): number {
  return entry.type === 'message' ? Number(entry.payload) : 0
}
