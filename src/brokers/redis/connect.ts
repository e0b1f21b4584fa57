import { Backoff, inTime, Link, noAnswer, patiently, retryUntil } from '../../driver-kit/index.js'
import type { Command, RedisConnection, RedisServer } from './connection.js'
import { connectFailure } from './errors.js'
import { codeOf, isFinal, isReply } from './replies.js'

/** How one connection to Redis at a time is kept. */
export type RedisLink = Link<RedisConnection>

/** Milliseconds. */
export interface RedisLinkTiming {
  connectTimeout: number
  /** How often a connection is asked whether it still lives. Default: never. */
  pingInterval?: number
  pingTimeout: number
}

/** Connects to Redis when that is first needed, and again until Redis refuses for good. */
export function redisLink(server: RedisServer, timing: RedisLinkTiming): RedisLink {
  const { connectTimeout, pingInterval: interval, pingTimeout: timeout } = timing
  const ask = (connection: RedisConnection) => connection.probe?.() ?? connection.call(['PING'])
  return new Link<RedisConnection>({
    broker: 'Redis',
    where: server.where,
    connectTimeout,
    prepare: () => server.load(),
    connect: (attempt) => server.connect(attempt),
    lost: (connection) => connection.lost,
    end: (connection) => connection.destroy(),
    again: (error) => !isFinal(error),
    explain: (cause) => connectFailure(server.where, cause),
    ...(interval !== undefined && { probe: { interval, timeout, ask } }),
  })
}

/** Connects, and waits until Redis answers: while it loads its data or runs a script, it does not. */
export async function connectNow(link: RedisLink, timeout: number): Promise<void> {
  await link.get()
  const ping = (connection: RedisConnection, left: number) =>
    inTime(connection.call(['PING']), left).catch((error: unknown) => {
      // A user who may not send PING may still read.
      if (!(isReply(error) && codeOf(error) === 'NOPERM')) throw error
    })
  await askUntil(link, performance.now() + timeout, ping, {
    explain: (error) => connectFailure(link.where, error),
  })
}

/**
 * Asks Redis until there is an answer, also while it is away for a moment or can't answer yet.
 *
 * @param until By `performance.now()`.
 * @param options `isOver` says whether to give up after an error; default: {@link isFinal}. `explain`
 *   makes the error that is thrown of the last one; where there is no connection, the link's own is
 *   thrown. `also` is another link that has to have a connection.
 */
export async function askUntil<T>(
  link: RedisLink,
  until: number,
  question: (connection: RedisConnection, left: number) => Promise<T>,
  options: {
    isOver?: (error: unknown) => boolean
    explain: (error: Error) => Error
    also?: RedisLink
  },
): Promise<T> {
  const { isOver = isFinal, explain, also } = options
  let unreachable: unknown
  const attempt = async (left: number) => {
    const connecting = Promise.all([link.get(left), also?.get(left)])
    const [connection] = await connecting.catch((error: unknown) => {
      unreachable = error
      throw error
    })
    return question(connection, left)
  }
  try {
    return await retryUntil(until, attempt, {
      again: (error) => error !== unreachable && !isOver(error),
      signal: link.closing,
      backoff: new Backoff({ first: 50, cap: 200 }),
    })
  } catch (error) {
    throw error === unreachable || link.closing.aborted ? error : explain(error as Error)
  }
}

/** Gives Redis's reply to a command. A connection on which none comes in time is given up. */
export async function ask(
  link: RedisLink,
  connection: RedisConnection,
  command: Command,
  timeout: number,
): Promise<unknown> {
  const reply = connection.call(command)
  if ((await patiently(reply, timeout)) === 'late') link.lose(connection, noAnswer(timeout))
  return reply
}
