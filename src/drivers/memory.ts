import type { Driver, Payload, Sink, Subscription } from '../driver.js'
import { checkOptions, oneOf } from '../option-checks.js'

/** A driver that is its own broker, inside this process. */
export interface MemoryDriver extends Driver {
  /**
   * Hands `payload` to the topic's subscriber before it returns.
   *
   * @returns whether somebody here was subscribed.
   */
  publish(topic: string, payload: Payload): boolean
}

/** What `memoryDriver` takes. */
export interface MemoryDriverOptions {
  /** How payloads travel: see {@link Driver.encoding}. Default: `utf8`. */
  encoding?: 'utf8' | 'base64'
}

/**
 * Publish and subscribe within one process: for tests, for development, and for an
 * application whose events arise in the process that serves them.
 *
 * @throws OptionsError
 */
export function memoryDriver(options: MemoryDriverOptions = {}): MemoryDriver {
  checkOptions('memoryDriver', options, { encoding: oneOf('utf8', 'base64') })
  const sinks = new Map<string, Sink>()
  let closed = false

  return {
    encoding: options.encoding ?? 'utf8',

    async subscribe(topic: string, sink: Sink): Promise<Subscription> {
      if (closed) throw new Error('This memory driver has been closed. Make a new one.')
      if (sinks.has(topic)) throw new Error(`Topic ${JSON.stringify(topic)} is already open.`)
      sinks.set(topic, sink)
      return {
        async close() {
          if (sinks.get(topic) === sink) sinks.delete(topic)
        },
      }
    },

    publish(topic, payload) {
      const sink = sinks.get(topic)
      sink?.message(payload)
      return sink !== undefined
    },

    async close() {
      closed = true
      sinks.clear()
    },
  }
}
