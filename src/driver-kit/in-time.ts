import { onAbort } from './on-abort.js'

/** The error of something that took longer than `milliseconds`. */
export function noAnswer(milliseconds: number): Error {
  return new Error(`no answer within ${Math.round(milliseconds)} ms`)
}

/**
 * Waits for `promise`, and rejects where that takes too long. A promise that settles after that is
 * ignored; its rejection is not reported as unhandled.
 *
 * @param milliseconds The bound. Infinity for none.
 * @param late Makes the error of a promise that is late. Default: {@link noAnswer}.
 * @param signal Ends the wait when it is aborted, with its reason as the error.
 */
export function inTime<T>(
  promise: Promise<T>,
  milliseconds: number,
  late: () => Error = () => noAnswer(milliseconds),
  signal?: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer =
      milliseconds === Infinity
        ? undefined
        : setTimeout(() => end(() => reject(late())), Math.max(0, milliseconds))
    let forget: (() => void) | undefined
    const end = (settle: () => void) => {
      clearTimeout(timer)
      forget?.()
      settle()
    }
    promise.then(
      (value) => end(() => resolve(value)),
      (error: Error) => end(() => reject(error)),
    )
    if (signal) forget = onAbort(signal, () => end(() => reject(signal.reason as Error)))
  })
}
