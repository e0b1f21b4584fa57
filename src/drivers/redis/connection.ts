/** One connection to Redis, made with either library, that is not made again when it is lost. */
export interface RedisConnection {
  /** Sends a command as it is. Bulk strings of the reply are bytes. */
  call(command: readonly string[]): Promise<unknown>
  /** Settles when Redis has confirmed the channel. */
  subscribe(channel: string, listener: (payload: Buffer) => void): Promise<void>
  unsubscribe(channel: string): Promise<void>
  /** Settles when the connection is gone, for whatever reason. */
  readonly lost: Promise<Error>
  /** Closes it at once, whatever it is doing. */
  destroy(): void
}

/** A Redis server, or what a client of the user's says about where it is and how to get in. */
export interface RedisServer {
  /** Its host and port, for errors. */
  readonly where: string
  /**
   * Makes a new connection, ready for commands.
   *
   * @param timeout Milliseconds.
   * @param signal Ends the attempt.
   */
  open(timeout: number, signal: AbortSignal): Promise<RedisConnection>
}

/** Whether an error is Redis's own answer to a command, and not one of the link. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && /^[A-Z][A-Z0-9]+ /.test(error.message)
}

/** Whether Redis says that it can't answer just now. */
export function isTransient(error: Error): boolean {
  return /^(LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN) /.test(error.message)
}

/** Whether Redis does not let us in, now or with the next try. */
export function refusesCredentials(error: unknown): boolean {
  const { message = '', cause } = error as { message?: string; cause?: { message?: string } }
  return /WRONGPASS|NOAUTH|invalid password|without any password/i.test(
    `${message} ${cause?.message ?? ''}`,
  )
}

/** The error of an attempt to connect, with what to do about it. */
export function connectError(where: string, cause: unknown): Error {
  const { code, message } = cause as { code?: string; message?: string }
  const words = message && code && message.includes(code) ? [message] : [message, code]
  const reason = [...new Set(words)].filter(Boolean).join(', ') || String(cause)
  if (refusesCredentials(cause)) {
    // ioredis puts the command beside what Redis says: for AUTH, that is the password.
    delete (cause as { command?: unknown }).command
    return new Error(
      `Redis at ${where} refused the credentials (${reason}). Check user and password.`,
      { cause },
    )
  }
  if (/certificate|\btls\b|\bssl\b|EPROTO/i.test(reason)) {
    return new Error(
      `No TLS connection to Redis at ${where} (${reason}). Check that it is rediss:// on both ` +
        'sides, and the certificates.',
      { cause },
    )
  }
  return new Error(
    `Redis could not be reached at ${where} (${reason}). Start it, or correct the address.`,
    { cause },
  )
}

/** What Redis refuses of one channel or stream, with what to do about it. */
export function refusal(what: string, where: string, cause: Error): Error {
  const { message } = cause
  if (/^NOPERM/.test(message)) {
    return new Error(
      `Redis at ${where} does not let this user read ${what} (${message}). Allow it in the ` +
        "user's ACL.",
      { cause },
    )
  }
  if (/^WRONGTYPE/.test(message)) {
    return new Error(
      `${what} is no stream in Redis at ${where} (${message}). Give another address, or delete ` +
        'the key.',
      { cause },
    )
  }
  if (/^(MOVED|ASK|CROSSSLOT|CLUSTERDOWN)/.test(message)) {
    return new Error(
      `${what} is not on the node of Redis Cluster at ${where} (${message}). Give the address ` +
        'of the node that has it; the driver does not follow a cluster.',
      { cause },
    )
  }
  return new Error(`Redis at ${where} did not open ${what} (${message}).`, { cause })
}

/** Redis takes every name, but bytes go over the wire, and half a character has none. */
export function brokenNameRule(what: string, name: unknown): string | undefined {
  if (typeof name !== 'string') return `the name of a ${what} is a string`
  if (name === '') return `the name of a ${what} is not empty`
  if (/\p{Cs}/u.test(name)) return `the name of a ${what} has no lone surrogates`
  return undefined
}
