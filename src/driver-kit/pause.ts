import { onAbort } from './on-abort.js'

/**
 * Waits for `milliseconds`. It never rejects: when the signal is aborted the pause is over at once,
 * and the caller looks at the signal.
 *
 * @param options `ref: false` for a timer that does not keep the process alive.
 */
export function pause(
  milliseconds: number,
  signal?: AbortSignal,
  options: { ref?: boolean } = {},
): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const end = () => {
      clearTimeout(timer)
      forget?.()
      resolve()
    }
    const timer = setTimeout(end, milliseconds)
    if (options.ref === false) timer.unref()
    const forget = signal && onAbort(signal, end)
  })
}
