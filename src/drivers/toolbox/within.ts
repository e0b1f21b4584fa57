/**
 * Waits for `promise`, but no longer than `milliseconds`. It never rejects: a promise that does
 * gives `failed`, one that takes too long gives `late`.
 */
export function within<T>(
  promise: Promise<T>,
  milliseconds: number,
): Promise<T | 'failed' | 'late'> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve('late'), Math.max(0, milliseconds))
    const settle = (outcome: T | 'failed') => {
      clearTimeout(timer)
      resolve(outcome)
    }
    promise.then(settle, () => settle('failed'))
  })
}
