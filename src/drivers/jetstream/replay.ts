import type { LogEntry } from '../../driver.js'
import { within } from '../toolbox/within.js'
import type { NatsMessage, StreamInfo } from './api.js'
import { reasonOf } from './api.js'
import { StreamConsumer } from './consumer.js'
import type { ConsumerSettings } from './consumer.js'
import type { Linked } from './link.js'
import { CLOSE_TIMEOUT } from './reader.js'
import { messageOf } from './spread.js'
import type { JetStreamMessage } from './spread.js'
import { overlaps, SubjectTree } from './subjects.js'

/** With more subjects than this, a server is not asked to choose, and this process does. */
const MOST_SUBJECTS = 50

/** A part of a stream to read again. */
export interface ReplaySettings extends ConsumerSettings {
  /** The topics to read it for, each with its subject. */
  readonly topics: readonly { readonly name: string; readonly subject: string }[]
  readonly after: number
  readonly through: number
  readonly payload: ((message: JetStreamMessage) => string | Uint8Array) | undefined
  /** Whether a server takes several subjects as a filter. */
  readonly several: boolean
}

interface Arrived {
  readonly message: NatsMessage
  readonly sequence: number
  readonly time: number
}

/**
 * Reads a part of a stream once more, by a consumer of its own, which is gone when it is done.
 *
 * A consumer with a filter does not tell that messages are gone. So what has come is held until the
 * stream has said, later than that, that nothing was dropped which would have stood before it.
 */
export async function* replay(linked: Linked, settings: ReplaySettings): AsyncGenerator<LogEntry> {
  const { topics, through, payload } = settings
  const tree = new SubjectTree<string>()
  for (const { name, subject } of topics) tree.add(subject, name)
  const pass = new Pass(linked, settings)
  try {
    let at = await pass.open()
    while (at < through) {
      const { arrived, done } = await pass.next()
      const end = done ? through : (arrived.at(-1)?.sequence ?? at)
      const lostThrough = await pass.missing(at, end)
      if (lostThrough > at) yield { lostThrough }
      for (const { message, sequence, time } of arrived) {
        if (sequence <= lostThrough) continue
        const names = tree.match(message.subject).toSorted()
        if (names.length === 0) continue
        let body: string | Uint8Array
        try {
          body = payload?.(messageOf(message, sequence, time)) ?? message.data
        } catch {
          yield { lostThrough: sequence }
          continue
        }
        yield { number: sequence, payload: body, topics: names }
      }
      at = end
    }
  } finally {
    await pass.close()
  }
}

class Pass {
  #consumer: StreamConsumer | undefined
  #arrived: Arrived[] = []
  #done = false
  #broken: Error | undefined
  #wake: () => void = () => undefined
  #created: string | undefined

  constructor(
    private readonly linked: Linked,
    private readonly settings: ReplaySettings,
  ) {}

  /** Begins, and gives the number after which it does. */
  async open(): Promise<number> {
    const { after } = this.settings
    this.#created = (await this.#look()).created
    const chosen = chooseFilter(this.settings)
    try {
      await this.#openWith(chosen)
    } catch (error) {
      // The server may not take these subjects, such as some that the stream has only in part.
      if (reasonOf(error).kind !== 'refused' || chosen === this.settings.filter) throw error
      await this.#consumer?.close(CLOSE_TIMEOUT)
      await this.#openWith(this.settings.filter)
    }
    return after
  }

  /** What has come since, at least one message unless it is done. */
  async next(): Promise<{ arrived: Arrived[]; done: boolean }> {
    const { heartbeat } = this.settings
    while (this.#arrived.length === 0 && !this.#done) {
      if (this.#broken !== undefined) throw this.#broken
      const woken = new Promise<void>((resolve) => (this.#wake = resolve))
      if ((await within(woken, 3 * heartbeat)) === 'late') {
        throw new Error('The stream was silent while it was read again.')
      }
    }
    return { arrived: this.#arrived.splice(0), done: this.#done }
  }

  /** Up to which number, of those after one and through another, some may be missing. */
  async missing(after: number, through: number): Promise<number> {
    const { created, state } = await this.#look()
    if (created !== this.#created) throw new Error('The stream was made anew.')
    const trimmed = Math.min(state.first_seq - 1, through)
    if (!state.num_deleted) return trimmed
    const { deleted = [] } = (await this.#look({ deleted_details: true })).state
    return deleted.reduce(
      (most, sequence) =>
        sequence > after && sequence <= through ? Math.max(most, sequence) : most,
      trimmed,
    )
  }

  async close(): Promise<void> {
    await this.#consumer?.close(CLOSE_TIMEOUT)
  }

  async #openWith(filter: readonly string[]): Promise<void> {
    const { stream, heartbeat, after, through } = this.settings
    const { connection, manager } = this.linked
    const consumer = new StreamConsumer(
      connection,
      manager,
      { stream, heartbeat, filter },
      {
        message: (message, sequence, time, pending) => {
          if (sequence <= through) this.#arrived.push({ message, sequence, time })
          if (sequence >= through || pending === 0) this.#done = true
          this.#wake()
        },
        idle: (sequence) => {
          if (sequence >= through) this.#done = true
          this.#wake()
        },
        broken: (error) => {
          this.#broken = error ?? new Error('The consumer missed a message.')
          this.#wake()
        },
      },
    )
    this.#consumer = consumer
    await consumer.open(after + 1)
    if (consumer.pending === 0) this.#done = true
    consumer.release()
  }

  #look(options?: { deleted_details: boolean }): Promise<StreamInfo> {
    return this.linked.manager.streams.info(this.settings.stream, options)
  }
}

/** What to have a server choose from the stream: subjects of topics, as long as it can. */
function chooseFilter({ topics, filter, several }: ReplaySettings): readonly string[] {
  const subjects = [...new Set(topics.map(({ subject }) => subject))]
  if (subjects.length > (several ? MOST_SUBJECTS : 1)) return filter
  const tangled = subjects.some((one, index) =>
    subjects.slice(index + 1).some((other) => overlaps(one, other)),
  )
  return tangled ? filter : subjects
}
