/** How long anything that is awaited may take, unless told otherwise. */
export const BOUND = 10_000

/** Throws an error with `message`, which says what was expected and what came, unless `fact`. */
export function check(fact: boolean, message: string): asserts fact {
  if (!fact) throw new Error(message)
}

/**
 * Waits until `test` answers with something true, and hands that back. It is for what can only
 * be asked for, such as a count on the broker; what is reported is awaited as an event.
 *
 * @param within How many milliseconds it may take; after that it rejects and names `what`.
 */
export async function until<T>(
  what: string,
  test: () => T | Promise<T>,
  within = BOUND,
): Promise<NonNullable<T>> {
  const end = performance.now() + within
  for (;;) {
    const answer = await test()
    if (answer) return answer
    if (performance.now() > end) throw new Error(`Not within ${within} ms: ${what}.`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/**
 * What `ask` answers. It is asked again while it rejects: a broker that was just broken, or that has
 * little of the machine, may not answer in the time that its client allows it.
 *
 * @param within After how many milliseconds it rejects, with the last error as its cause.
 */
export async function answerOf<T>(
  what: string,
  ask: () => T | Promise<T>,
  within = BOUND,
): Promise<T> {
  let error: unknown
  const attempt = async () => {
    try {
      return { answer: await ask() }
    } catch (cause) {
      error = cause
      return undefined
    }
  }
  const found = await until(what, attempt, within).catch(({ message }: Error) => {
    throw new Error(`${message} It says: ${String(error)}`, { cause: error })
  })
  return found.answer
}

/** What `promise` gives, or an error that names `what` when it takes longer than `within` ms. */
export async function inTime<T>(what: string, promise: Promise<T>, within = BOUND): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Not within ${within} ms: ${what}.`)), within)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** The error that `promise` rejects with. It throws if there is none, or none in time. */
export async function rejection(
  what: string,
  promise: Promise<unknown>,
  within = BOUND,
): Promise<Error> {
  const outcome = await inTime(
    `${what} rejects`,
    promise.then(
      () => undefined,
      (error: unknown) => ({ error }),
    ),
    within,
  )
  check(outcome !== undefined, `Expected ${what} to reject, but it was accepted.`)
  const error = outcome.error as Error | undefined
  check(
    typeof error?.message === 'string' && error.message.length >= 20,
    `Expected ${what} to reject with an error that says why, got ${String(error)}.`,
  )
  return error
}
