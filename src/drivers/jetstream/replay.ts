import type { Payload } from '../../driver.js'
import type { LogEntry } from '../../log.js'
import type { ConsumerSettings } from './consumer.js'
import type { Linked } from '../../brokers/nats/jetstream.js'
import { Pass } from './pass.js'
import type { Arrived } from './pass.js'
import type { Position } from './position.js'
import { payloadOf } from './spread.js'
import type { ChoosePayload } from './spread.js'
import { overlaps, SubjectTree } from './subjects.js'

/** Up to so many subjects the server chooses the messages; of more, this process does. */
const MOST_SUBJECTS = 50

export interface ReplaySettings extends ConsumerSettings {
  readonly payload: ChoosePayload | undefined
}

/** What to read again. */
export interface Range {
  /** The topics that need it, each with its subject. */
  readonly topics: readonly { readonly name: string; readonly subject: string }[]
  readonly after: number
  readonly through: number
  /** How far the stream was read. */
  readonly known: Position
}

/** Reads parts of a stream once more, each by a consumer of its own that is deleted afterwards. */
export class Replays {
  readonly #passes = new Set<Pass>()
  /** Whether the server has not refused to choose several subjects. */
  #several = true

  constructor(private readonly settings: ReplaySettings) {}

  /** @param several Whether this server takes several subjects as a filter. */
  async *read(linked: Linked, range: Range, several: boolean): AsyncGenerator<LogEntry> {
    const { topics, through } = range
    const subjects = subjectsOf(range, several && this.#several)
    const tree = new SubjectTree<string>()
    for (const { name, subject } of topics) tree.add(subject, name)
    const pass = new Pass(linked, { ...this.settings, ...range, subjects })
    this.#passes.add(pass)
    try {
      await pass.open()
      if (pass.refused && subjects!.length > 1) this.#several = false
      for (let at = range.after; at < through;) {
        const some = await pass.next()
        const lostThrough = await pass.missing(at, some.through)
        if (lostThrough > at) yield { lostThrough }
        for (const one of some.arrived) {
          if (one.sequence > lostThrough) yield* this.#entry(one, tree)
        }
        at = some.through
      }
    } finally {
      await pass.close()
      this.#passes.delete(pass)
    }
  }

  /** Ends all reading that is under way. */
  async close(): Promise<void> {
    await Promise.all([...this.#passes].map((pass) => pass.close()))
  }

  *#entry({ message, sequence, time }: Arrived, tree: SubjectTree<string>): Generator<LogEntry> {
    const { filter, payload: choose } = this.settings
    const topics = tree.match(message.subject).sort()
    if (topics.length === 0) return
    if (filter.length > 0 && !filter.some((held) => overlaps(held, message.subject))) return
    let payload: Payload[]
    try {
      payload = topics.map((topic) => payloadOf(choose, message, topic, sequence, time))
    } catch {
      // It failed when the message first came, too, and was told as lost then.
      yield { lostThrough: sequence }
      return
    }
    yield { number: sequence, payload, topics }
  }
}

/** The subjects that the server is asked to choose. Undefined where it can't. */
function subjectsOf({ topics }: Range, several: boolean): readonly string[] | undefined {
  const subjects = [...new Set(topics.map(({ subject }) => subject))]
  if (subjects.length > (several ? MOST_SUBJECTS : 1)) return undefined
  const tangled = subjects.some((one, index) =>
    subjects.slice(index + 1).some((other) => overlaps(one, other)),
  )
  return tangled ? undefined : subjects
}
