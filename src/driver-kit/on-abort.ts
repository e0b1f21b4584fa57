const callbacks = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls back when a signal is aborted. All callbacks of a signal share one listener: an AbortSignal
 * walks through its listeners whenever one is added or removed, and there may be thousands of waits
 * at once.
 *
 * @returns what takes it back.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let all = callbacks.get(signal)
  if (all === undefined) {
    const made = new Set<() => void>()
    const callAll = () => {
      for (const call of made) call()
    }
    signal.addEventListener('abort', callAll, { once: true })
    callbacks.set(signal, made)
    all = made
  }
  const waiting = all
  waiting.add(callback)
  return () => waiting.delete(callback)
}
