/** What to do about each kind of failure to connect. Each is a sentence. */
export interface ConnectHints {
  /** Where the broker refuses the credentials. */
  credentials?: string
  /** Where TLS is what went wrong. */
  tls?: string
  /** Where nobody was reached. */
  unreachable?: string
  /** By which words of the broker one knows that it refuses the credentials. */
  refusal?: RegExp
}

const REFUSAL = /authori[sz]ation|authentication|credentials|password/i

const FULL = /max(imum)? (number of |account |active )*(connections|clients)|too many connections/i

const TLS = /certificate|(?<![a-z])(tls|ssl)(?![a-z.])|EPROTO/i

/**
 * The error of an attempt to connect: what was tried, what came of it in the broker's own words, and
 * what to do. Secrets are hidden, see {@link hideSecrets}.
 *
 * @param broker The broker's name, as people write it.
 * @param where Its host and port, or several.
 */
export function connectError(
  broker: string,
  where: string,
  cause: unknown,
  hints: ConnectHints = {},
): Error {
  const reason = reasonOf(cause)
  const place = hideSecrets(where)
  if ((hints.refusal ?? REFUSAL).test(reason)) {
    const hint = hints.credentials ?? 'Check user and password.'
    return new Error(`${broker} at ${place} refused the credentials (${reason}). ${hint}`, {
      cause,
    })
  }
  if (TLS.test(reason)) {
    const hint = hints.tls ?? 'Check that both sides use TLS, and the certificates.'
    return new Error(`No TLS connection to ${broker} at ${place} (${reason}). ${hint}`, { cause })
  }
  if (FULL.test(reason)) {
    const hint = 'Raise its limit of connections, or close some.'
    return new Error(`${broker} at ${place} has no room (${reason}). ${hint}`, { cause })
  }
  const hint = hints.unreachable ?? 'Start it, or correct the address.'
  return new Error(`${broker} could not be reached at ${place} (${reason}). ${hint}`, { cause })
}

/** What an error says, with its code where the message does not have it, and without secrets. */
export function reasonOf(cause: unknown): string {
  // Node tries each address of a name, and reports all failures in one error without a message.
  const first: unknown = cause instanceof AggregateError && !cause.message ? cause.errors[0] : cause
  const { message = '', code } = (first ?? {}) as { message?: string; code?: string | number }
  const isNew = code !== undefined && !message.includes(String(code))
  return hideSecrets([message, isNew && code].filter(Boolean).join(', ') || String(first))
}

/** The text with `…` for what stands before an `@`: in an address, that is user and password. */
export function hideSecrets(text: string): string {
  return text.replace(/([a-z][\w+.-]*:\/\/)\S*@|[^\s"'`(,]+@/gi, '$1…@')
}

/**
 * What a user gave as an address, for an error that refuses it. In a bad address, user and password
 * may have any form, so everything up to the last `@` is hidden. Of anything but text, the kind is
 * shown.
 */
export function shownAddress(got: unknown): string {
  if (typeof got !== 'string') return got === null ? 'null' : typeof got
  return JSON.stringify(got.replace(/^(\w[\w+.-]*:\/\/)?.*@/s, '$1…@'))
}
