/** The demo's settings, from its environment. */
export interface Settings {
  /** The port to listen on; for 0 the system chooses one. */
  port: number
  /** The number of tick topics. */
  topics: number
  /** How long a client lives without a connection, in milliseconds. */
  clientTTL: number
  /** The NATS server's address. Without one, messages stay in this process. */
  natsUrl: string | undefined
}

/** An error that ends the start with one line, without a stack. */
export class StartError extends Error {}

export function readSettings(env: NodeJS.ProcessEnv): Settings {
  return {
    port: wholeNumber(env, 'PORT', 3000, 0, 65_535),
    // A client may have 256 topics by default; the rest is for the ticker, the chat and the likes.
    topics: wholeNumber(env, 'TOPICS', 12, 1, 200),
    clientTTL: wholeNumber(env, 'CLIENT_TTL', 60_000, 1_000, 3_600_000),
    natsUrl: env['NATS_URL']?.trim() || undefined,
  }
}

function wholeNumber(
  env: NodeJS.ProcessEnv,
  name: string,
  fallback: number,
  min: number,
  max: number,
): number {
  const text = env[name]?.trim()
  if (!text) return fallback
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  throw new StartError(
    `${name} takes a whole number from ${min} to ${max}, but is ${JSON.stringify(text)}.`,
  )
}
