import type { LogSink } from '../log.js'
import { BOUND } from './until.js'

/** One call of a sink. */
export type SinkEntry =
  | { readonly type: 'message'; readonly payload: Buffer }
  | { readonly type: 'gap'; readonly reason: string }
  | { readonly type: 'fail'; readonly error: Error }

/** A sink that writes down what it is told, in order. */
export interface RecordingSink extends LogSink {
  readonly entries: readonly SinkEntry[]
  /** The payloads of all messages, as UTF-8. */
  texts(): string[]
  /** How many entries of a type there are. */
  count(type: SinkEntry['type']): number
  /**
   * Waits until `test` is true of what was recorded, which is looked at after each entry.
   *
   * @param what Named by the error if it is not, in time.
   */
  until(what: string, test: (sink: RecordingSink) => boolean, within?: number): Promise<void>
  /** Waits for as many messages. More of them are not an error here. */
  received(messages: number, within?: number): Promise<void>
}

/** Makes a sink that records, for tests of a driver. */
export function recordingSink(): RecordingSink {
  const entries: SinkEntry[] = []
  const waiting = new Set<() => void>()

  function record(entry: SinkEntry): void {
    entries.push(entry)
    for (const look of waiting) look()
  }

  const sink: RecordingSink = {
    entries,
    message: (payload) => record({ type: 'message', payload: Buffer.from(payload as string) }),
    gap: (reason) => record({ type: 'gap', reason }),
    fail: (error) => record({ type: 'fail', error }),

    texts: () =>
      entries.flatMap((entry) => (entry.type === 'message' ? entry.payload.toString() : [])),
    count: (type) => entries.filter((entry) => entry.type === type).length,

    until(what, test, within = BOUND) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(look)
          reject(new Error(`Not within ${within} ms: ${what}. ${summary(entries)}`))
        }, within)
        const look = () => {
          if (!test(sink)) return
          clearTimeout(timer)
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      })
    },

    received(messages, within) {
      const what = `${messages} message${messages === 1 ? '' : 's'}`
      return sink.until(what, () => sink.count('message') >= messages, within)
    },
  }
  return sink
}

function summary(entries: readonly SinkEntry[]): string {
  if (entries.length === 0) return 'Nothing was received.'
  const last = entries.slice(-5).map((entry) => {
    if (entry.type === 'gap') return `gap (${entry.reason})`
    if (entry.type === 'fail') return `fail (${entry.error.message})`
    return JSON.stringify(entry.payload.toString().slice(0, 40))
  })
  return `Received ${entries.length}, the last of them: ${last.join(', ')}.`
}
