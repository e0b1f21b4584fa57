/** How often the event loop is measured, in milliseconds. */
const EVERY = 500

/**
 * Measures how late the event loop is: how much later than asked for a timer runs. It keeps no
 * process alive.
 *
 * @returns ends it.
 */
export function watchLoop(measured: (seconds: number) => void): () => void {
  let due = performance.now() + EVERY
  const timer = setInterval(() => {
    const now = performance.now()
    measured(Math.max(0, now - due) / 1000)
    due = now + EVERY
  }, EVERY)
  timer.unref()
  return () => clearInterval(timer)
}
