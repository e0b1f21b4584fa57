/**
 * Waits until `check` answers something true, and gives that back.
 *
 * @param what Is waited for, for the error when it does not come.
 * @param within Milliseconds.
 */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  within = 15_000,
): Promise<T> {
  const end = performance.now() + within
  for (;;) {
    const answer = await check()
    if (answer) return answer
    if (performance.now() > end) throw new Error(`Waited ${within} ms for ${what}.`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/**
 * Waits until an assertion holds about what a broker counts: it hears of what was done here, or does
 * it, a little later. After `within` milliseconds, the assertion's own error is thrown.
 */
export async function eventually(
  assertion: () => void | Promise<void>,
  within = 15_000,
): Promise<void> {
  let error: unknown
  const holds = async () => {
    try {
      await assertion()
      return true
    } catch (cause) {
      error = cause
      return false
    }
  }
  await until('an assertion to hold', holds, within).catch(() => {
    throw error
  })
}
