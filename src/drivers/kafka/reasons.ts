/** The errors that an error is made of, itself first: both libraries wrap them more than once. */
function* within(error: unknown, depth = 0): Generator<Error & { code?: unknown }> {
  if (!(error instanceof Error) || depth > 5) return
  yield error
  const { errors } = error as { errors?: unknown }
  if (Array.isArray(errors)) for (const one of errors) yield* within(one, depth + 1)
  yield* within(error.cause, depth + 1)
}

/** What it comes down to, for people: the innermost message, which is the broker's or Node's. */
export function reasonOf(error: unknown): string {
  const messages = [...within(error)].map(({ message }) => message).filter((text) => text !== '')
  return messages.at(-1) ?? String(error)
}

const REFUSALS: readonly unknown[] = ['KafkaJSSASLAuthenticationError', 'PLT_KFK_AUTHENTICATION']

/** Whether the broker is there and does not let us in. */
export function isRefusal(error: unknown): boolean {
  return [...within(error)].some(
    ({ name, code }) => REFUSALS.includes(name) || REFUSALS.includes(code),
  )
}
