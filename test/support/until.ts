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
