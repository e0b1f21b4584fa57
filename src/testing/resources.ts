import { AsyncLocalStorage, createHook } from 'node:async_hooks'
import type { AsyncHook } from 'node:async_hooks'
import { until } from './until.js'

/**
 * How many milliseconds a socket may take to go when it has been closed. A timer for longer than
 * this is found.
 */
export const SETTLE = 500

/** What a driver could leave in the process, by the names that `async_hooks` has for it. */
const KINDS: ReadonlyMap<string, string> = new Map([
  ['Timeout', 'a timer'],
  ['TCPWRAP', 'a socket'],
  ['TCPSERVERWRAP', 'a server'],
  ['PIPEWRAP', 'a pipe'],
  ['UDPWRAP', 'a UDP socket'],
  ['PROCESSWRAP', 'a child process'],
  ['WORKER', 'a worker'],
])

/**
 * Watches what is opened in this process within {@link run}, and in whatever that sets off, and how
 * many listeners `process` has. Timers that were unref'd count; what others do meanwhile does not.
 */
export class ResourceWatch {
  readonly #made = new Map<number, { kind: string; place: string }>()
  readonly #scope = new AsyncLocalStorage<true>()
  readonly #hook: AsyncHook
  #before = this.#counts()

  constructor() {
    this.#hook = createHook({
      init: (id, type) => {
        const kind = KINDS.get(type)
        if (kind === undefined || this.#scope.getStore() === undefined) return
        this.#made.set(id, { kind, place: place() })
      },
      destroy: (id) => void this.#made.delete(id),
    }).enable()
  }

  /** Calls `act` so that what it makes is seen. */
  run<T>(act: () => T): T {
    return this.#scope.run(true, act)
  }

  /** What is there by now may stay. */
  async mark(): Promise<void> {
    // Node says that something is gone some turns later, in the order in which it went.
    const probe = this.run(() => setTimeout(() => undefined, 0))
    const [id] = [...this.#made].at(-1) ?? []
    clearTimeout(probe)
    await until('Node to say what is gone', () => id === undefined || !this.#made.has(id))
    this.#before = this.#counts()
  }

  /** Throws unless nothing is left, as soon as what is closing has had its time. */
  async nothingLeft(after: string): Promise<void> {
    const nothing = () => this.#left().length === 0
    await until('the driver to let go', nothing, SETTLE).catch((cause: unknown) => {
      const left = this.#left().join('; ')
      const message = `Expected nothing to be left in this process ${after}, there is: ${left}.`
      throw new Error(message, { cause })
    })
  }

  end(): void {
    this.#hook.disable()
    this.#scope.disable()
  }

  /** What is there and was not before, the latest of each kind, with the line that made it. */
  #left(): string[] {
    return [...this.#counts()].flatMap(([kind, count]) => {
      const more = count - (this.#before.get(kind) ?? 0)
      if (more <= 0) return []
      const places = [...this.#made.values()].filter((made) => made.kind === kind)
      if (places.length === 0) return [`${more} × ${kind}`]
      return places.slice(-more).map((made) => `${kind}${made.place}`)
    })
  }

  #counts(): Map<string, number> {
    const found = new Map<string, number>()
    for (const { kind } of this.#made.values()) found.set(kind, (found.get(kind) ?? 0) + 1)
    for (const [event, count] of listenersOf(process)) {
      found.set(`a listener of process for '${event}'`, count)
    }
    return found
  }
}

/** Counts the listeners that `EventEmitter`s have, for all of their events. */
export function countListeners(...emitters: readonly Emitter[]): number {
  return emitters
    .flatMap((emitter) => [...listenersOf(emitter).values()])
    .reduce((sum, count) => sum + count, 0)
}

function listenersOf(emitter: Emitter): Map<string, number> {
  return new Map(emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)]))
}

/** As much of an `EventEmitter` as it takes to count its listeners. */
export interface Emitter {
  eventNames(): readonly (string | symbol)[]
  listenerCount(name: string | symbol): number
}

/** The line of code outside of Node and of this file that is at work. */
function place(): string {
  const lines = new Error().stack?.split('\n').slice(1) ?? []
  const line = lines.find((text) => !/\(?node:|async_hooks|testing[\\/]resources/.test(text))
  return line === undefined ? '' : ` made ${line.trim()}`
}
