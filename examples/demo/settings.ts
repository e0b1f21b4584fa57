/** What the demo takes from its environment. */
export interface Settings {
  /** Where it listens; 0 lets the system choose. */
  port: number
  /** How many tick topics there are. */
  topics: number
  /** How long a client may stay away, in milliseconds. */
  clientTTL: number
  /** The address of the NATS server to go through; without one, messages stay in this process. */
  natsUrl: string | undefined
}

/** A reason not to start that one line can tell to whoever started the demo. */
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
