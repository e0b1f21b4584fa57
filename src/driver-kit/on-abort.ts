/** The listeners of each signal. */
const listenersOf = new WeakMap<AbortSignal, Listeners>()

/**
 * Calls `listener` when the signal is aborted, at once where it has been.
 *
 * A signal looks through all its listeners for each one that is added. A driver may have 100,000
 * subscribes under way, and all of them listen to the signal that says that it is being closed: here
 * they share one listener of the signal.
 *
 * @returns takes the listener back.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener()
    return () => undefined
  }
  let listeners = listenersOf.get(signal)
  if (listeners === undefined) {
    listeners = new Listeners(signal)
    listenersOf.set(signal, listeners)
  }
  return listeners.add(listener)
}

class Listeners {
  readonly #listeners = new Set<() => void>()
  readonly #abort = () => {
    for (const listener of [...this.#listeners]) listener()
  }

  constructor(private readonly signal: AbortSignal) {
    signal.addEventListener('abort', this.#abort, { once: true })
  }

  add(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => {
      // Without listeners nothing is left on the signal, which may outlive them.
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return
      this.signal.removeEventListener('abort', this.#abort)
      if (listenersOf.get(this.signal) === this) listenersOf.delete(this.signal)
    }
  }
}
