/** PostgreSQL takes a payload that is shorter. */
const MAX_BYTES = 8_000

/**
 * The statement that notifies a channel.
 *
 * @throws Error for a payload that PostgreSQL would refuse, together with what else goes with the query.
 */
export function notifying(channel: string, payload: string | Uint8Array): string {
  const text = typeof payload === 'string' ? payload : textOf(payload)
  const bytes = Buffer.byteLength(text)
  if (bytes >= MAX_BYTES) {
    throw new Error(
      `PostgreSQL takes less than ${MAX_BYTES} bytes by NOTIFY, and this message has ${bytes}. Put it ` +
        'into a table, and notify its key.',
    )
  }
  if (text.includes('\0')) throw new Error('PostgreSQL takes no NUL in a text.')
  if (!text.isWellFormed()) throw new Error('PostgreSQL takes UTF-8, and this has lone surrogates.')
  return `SELECT pg_notify(${literal(channel)}, ${literal(text)})`
}

function textOf(payload: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload)
  } catch (error) {
    throw new Error('PostgreSQL takes UTF-8 by NOTIFY, and this message is none.', { cause: error })
  }
}

/** A text as SQL has it. With E, a backslash means the same whatever the server's settings are. */
function literal(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
