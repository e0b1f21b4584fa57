import type { Address } from './wire.js'
import { addressText, codes, isUnknownTopic } from './wire.js'

/** The errors that an error wraps, itself first: both libraries wrap errors more than once. */
function* chainOf(error: unknown, depth = 0): Generator<Error & { code?: unknown }> {
  if (!(error instanceof Error) || depth > 5) return
  yield error
  const { errors } = error as { errors?: unknown }
  if (Array.isArray(errors)) for (const one of errors) yield* chainOf(one, depth + 1)
  yield* chainOf(error.cause, depth + 1)
}

/** The innermost message, which is the broker's or Node's. */
export function reasonOf(error: unknown): string {
  const messages = [...chainOf(error)].map(({ message }) => message).filter((text) => text !== '')
  return messages.at(-1) ?? String(error)
}

const REFUSALS: readonly unknown[] = ['KafkaJSSASLAuthenticationError', 'PLT_KFK_AUTHENTICATION']

/** Whether the broker has refused the credentials. */
export function isRefusal(error: unknown): boolean {
  return [...chainOf(error)].some(
    ({ name, code }) => REFUSALS.includes(name) || REFUSALS.includes(code),
  )
}

export function unreachable(tried: ReadonlyMap<string, unknown>): Error {
  const each = [...tried].map(([address, error]) => `${address} (${reasonOf(error)})`)
  const cause = [...tried.values()].at(-1)
  return new Error(
    `Kafka can't be reached at ${each.join(', ')}. Start it, or correct the address, the ` +
      'credentials or ssl.',
    { cause },
  )
}

export function refused(error: unknown, address?: Address): Error {
  const where = address ? ` at ${addressText(address)}` : ''
  return new Error(
    `Kafka${where} refused the credentials (${reasonOf(error)}). Correct the user, the password or the ` +
      'mechanism in sasl.',
    { cause: error },
  )
}

/** Kafka itself tells where its brokers are, which may be an address that can't be reached from here. */
export function brokerUnreachable(address: Address, error: unknown): Error {
  return new Error(
    `Kafka says that one of its brokers is at ${addressText(address)}, which can't be reached ` +
      `(${reasonOf(error)}). Start it, or correct advertised.listeners of that broker.`,
    { cause: error },
  )
}

export function notInTime(
  topic: string,
  timeout: number,
  brokers: readonly string[],
  last: unknown,
): Error {
  const at = brokers.length > 0 ? ` at ${brokers.join(', ')}` : ''
  const why = last === undefined ? '' : ` (${reasonOf(last)})`
  return new Error(
    `Kafka${at} did not open the topic ${JSON.stringify(topic)} within ${timeout} ms${why}. ` +
      'Check that its brokers are up and reachable, and that each partition has a leader.',
    { cause: last },
  )
}

/** Why a topic can't be read at all. */
export function notThere(topic: string, code: number): Error {
  const name = JSON.stringify(topic)
  if (code === codes.notAllowed) return notAllowed(topic)
  if (isUnknownTopic(code)) {
    return new Error(
      `Kafka has no topic ${name} (UNKNOWN_TOPIC_OR_PARTITION), or does not let this user ` +
        'describe it. Create it, or correct the name.',
    )
  }
  return new Error(`Kafka can't open the topic ${name} (error code ${code}).`)
}

export function notAllowed(topic: string): Error {
  return new Error(
    `Kafka does not let this user read the topic ${JSON.stringify(topic)} ` +
      '(TOPIC_AUTHORIZATION_FAILED). Allow it the operation Read on that topic.',
  )
}

export function deleted(topic: string): Error {
  return new Error(
    `Kafka no longer has the topic ${JSON.stringify(topic)} (UNKNOWN_TOPIC_OR_PARTITION): it has ` +
      'been deleted.',
  )
}

export function troubled(topic: string, partition: number, code: number): Error {
  return new Error(
    `Kafka can't read partition ${partition} of the topic ${JSON.stringify(topic)} (error code ` +
      `${code}). Its log says why.`,
  )
}

export function unreadable(topic: string, partition: number, error: Error): Error {
  return new Error(
    `What stands in partition ${partition} of the Kafka topic ${JSON.stringify(topic)} can't be ` +
      `decoded (${reasonOf(error)}). Where it is a compression that the library does not know, ` +
      'add the codec to the library, or have it produced with another one.',
    { cause: error },
  )
}
