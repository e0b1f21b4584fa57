/**
 * Waits for `promise`, but no longer than `milliseconds`, and never rejects.
 *
 * @returns what the promise gives; `'failed'` where it rejects, `'late'` where it takes too long.
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
