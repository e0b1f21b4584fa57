import { TopicNameError } from '../../errors.js'

/** PostgreSQL cuts off what is longer. */
const MAX_BYTES = 63

/** Checks a channel's name before PostgreSQL is asked: it would listen to another one instead. */
export function checkChannel(name: unknown): void {
  const rule = brokenRule(name)
  if (rule === undefined) return
  const shown = JSON.stringify(name)?.slice(0, 100)
  throw new TopicNameError(
    `PostgreSQL can't LISTEN to the channel ${shown}: its name ${rule}. Take another, or give it one ` +
      'with the option address.',
  )
}

/** A channel's name as SQL takes it, letter by letter as it is: unquoted, `News` would be `news`. */
export function quoted(channel: string): string {
  return `"${channel.replaceAll('"', '""')}"`
}

function brokenRule(name: unknown): string | undefined {
  if (typeof name !== 'string') return 'has to be a string'
  if (name === '') return 'must not be empty'
  if (name.includes('\0')) return 'must have no NUL'
  if (!name.isWellFormed()) return 'must have no lone surrogates'
  const bytes = Buffer.byteLength(name)
  return bytes > MAX_BYTES
    ? `has ${bytes} bytes in UTF-8, and PostgreSQL takes ${MAX_BYTES}`
    : undefined
}
