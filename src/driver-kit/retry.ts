import { Backoff } from './backoff.js'
import { inTime, noAnswer } from './in-time.js'
import { pause } from './pause.js'

/** How {@link retryUntil} goes about it. */
export interface RetryOptions {
  /** Whether another try may go well after this error. Default: after any. */
  again?: (error: unknown) => boolean
  /** Ends it when aborted; it then rejects with the signal's reason. */
  signal?: AbortSignal
  /** The waits between two tries. Default: 100 to 2,000 ms, growing, with jitter. */
  backoff?: Backoff
}

/**
 * Tries until it works, until an error that another try would not mend, or until the deadline.
 *
 * A try that is under way at the deadline is no longer waited for. The error is that of the last
 * try that failed, since it says more than that time is up; without one it is `no answer within …`.
 *
 * @param deadline By `performance.now()`. Infinity for none.
 * @param attempt One try. `left` says how many milliseconds there are until the deadline.
 */
export async function retryUntil<T>(
  deadline: number,
  attempt: (left: number) => Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
  const { again = () => true, signal, backoff = new Backoff() } = options
  const all = deadline - performance.now()
  let last: { error: unknown } | undefined
  for (;;) {
    signal?.throwIfAborted()
    const left = deadline - performance.now()
    let isLate = false
    const late = () => {
      isLate = true
      return last === undefined ? noAnswer(all) : (last.error as Error)
    }
    try {
      return await inTime(attempt(left), left, late, signal)
    } catch (error) {
      signal?.throwIfAborted()
      if (isLate || !again(error)) throw error
      last = { error }
      const wait = backoff.next()
      if (performance.now() + wait >= deadline) throw error
      await pause(wait, signal)
    }
  }
}
