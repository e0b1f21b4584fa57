import { inTime, within } from '../../driver-kit/index.js'
import type { RedisConnection } from './connection.js'
import { isCredentialsRefused, isReply } from './replies.js'

/** What is used of either library's events. */
export interface Emitter {
  on(event: string, listener: (...args: never[]) => void): unknown
}

/**
 * Waits until Redis has let a new connection in, or closes it.
 *
 * @param connecting What the library's `connect` returned.
 * @param signal Gives it up.
 */
export async function letIn(
  connection: RedisConnection,
  connecting: Promise<unknown>,
  signal: AbortSignal,
): Promise<RedisConnection> {
  const lost = connection.lost.then((reason) => Promise.reject(reason))
  try {
    const ready = connecting.then(() => greet(connection))
    await inTime(Promise.race([lost, ready]), Infinity, undefined, signal)
    return connection
  } catch (error) {
    // ioredis rejects with a general error, and emits the one that says why just before.
    const reason = signal.aborted ? undefined : await within(connection.lost, 0)
    connection.destroy()
    throw reason instanceof Error ? reason : error
  }
}

/**
 * Finds out whether Redis takes our commands: it accepts connections without the password that it
 * asks for. Any other reply is as good as PONG. One that forbids PING may allow the rest, and one that
 * says "not now" is for whoever sends the first command.
 */
async function greet(connection: RedisConnection): Promise<void> {
  try {
    await connection.call(['PING'])
  } catch (error) {
    if (!isReply(error) || isCredentialsRefused(error)) throw error
  }
}
