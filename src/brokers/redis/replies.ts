/**
 * What an error says about the next try.
 *
 * - `final`: another try will not change it.
 * - `transient`: it passes by itself.
 * - `unknown`: Redis has said something that is in neither list. It is tried again, and the log is
 *   told Redis's own words.
 */
export type Outlook = 'final' | 'transient' | 'unknown'

/** The first word of a reply, where that alone decides. */
const FINAL = new Set(['NOAUTH', 'WRONGPASS', 'NOPERM', 'WRONGTYPE', 'MOVED', 'ASK', 'CROSSSLOT'])

/** Replies that begin with `ERR`, as many others do, and are final. */
const FINAL_WORDS =
  /invalid password|without any password|no password is set|unknown (sub)?command|DB index/i

/**
 * In this order: a script runs; the data is being loaded; this is a replica; it has lost its master;
 * the cluster is not complete; a slot is moving; too few replicas; the disk can't be written; the
 * memory is full; a waiting read was ended by Redis.
 */
const TRANSIENT = new Set([
  'BUSY',
  'LOADING',
  'READONLY',
  'MASTERDOWN',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'NOREPLICAS',
  'MISCONF',
  'OOM',
  'UNBLOCKED',
])

const CREDENTIALS = /WRONGPASS|NOAUTH|invalid password|without any password|no password is set/i

/**
 * Decides whether an error of Redis, or of the connection to it, is final. Every user of Redis asks
 * here and nowhere else. A connection that fails is always transient.
 */
export function outlook(error: unknown): Outlook {
  if (!isReply(error)) return 'transient'
  const code = codeOf(error)
  if (FINAL.has(code) || FINAL_WORDS.test(error.message)) return 'final'
  const isFull = /max number of clients/i.test(error.message)
  return TRANSIENT.has(code) || isFull ? 'transient' : 'unknown'
}

/** Whether another try will not change it; see {@link outlook}. */
export function isFinal(error: unknown): error is Error {
  return outlook(error) === 'final'
}

/** Whether an error is Redis's answer to a command, and not a failure of the connection. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && /^[A-Z][A-Z0-9]+ /.test(error.message)
}

/** Whether Redis does not let us in. */
export function isCredentialsRefused(error: unknown): boolean {
  return isReply(error) && CREDENTIALS.test(error.message)
}

/** The code of a reply, such as NOPERM. Before Redis 7, that of a script stands inside. */
export function codeOf({ message }: Error): string {
  const inScript = /^ERR Error running script .*?: -?([A-Z]+) /s.exec(message)
  return inScript?.[1] ?? message.split(' ', 1)[0]!
}
