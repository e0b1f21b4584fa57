import { connectError, reasonOf } from '../../driver-kit/index.js'
import { codeOf, isCredentialsRefused, isFinal, isReply } from './replies.js'

/** The error of an attempt to connect, with what to do about it where that is sure. */
export function connectFailure(where: string, cause: unknown): Error {
  if (isCredentialsRefused(cause)) {
    // ioredis puts the command beside what Redis says: for AUTH, that is the password.
    delete (cause as { command?: unknown }).command
    return connectError('Redis', where, cause, { refusal: /^/ })
  }
  if (isReply(cause)) {
    const what = isFinal(cause) ? 'refused the connection' : 'is not ready'
    const advice = isOfDatabase(cause) ? ' Give the number of a database that it has.' : ''
    return new Error(`Redis at ${where} ${what} (${reasonOf(cause)}).${advice}`, { cause })
  }
  return connectError('Redis', where, cause, {
    // Only a reply refuses credentials.
    refusal: /(?!)/,
    tls: 'Check that it is rediss:// on both sides, and the certificates.',
    ...unreachable(reasonOf(cause)),
  })
}

/** The advice for a connection that is not made, where it is not Redis that is missing. */
function unreachable(reason: string): { unreachable?: string } {
  if (/is a replica/.test(reason)) {
    return { unreachable: 'Wait until it hears its master, or give the address of that.' }
  }
  if (/protocol error|reply type|RESP type/i.test(reason)) {
    return { unreachable: 'What answers there is no Redis. Correct the address.' }
  }
  if (/closed|ECONNRESET|EPIPE/i.test(reason)) {
    const advice =
      'Something answers there and hangs up: Redis that is full (maxclients) or that asks'
    return { unreachable: `${advice} for TLS (rediss://), or no Redis.` }
  }
  return {}
}

function isOfDatabase({ message }: Error): boolean {
  return /DB index/i.test(message)
}

/** The error of one channel or stream that Redis refuses, with what to do about it. */
export function refusal(what: string, where: string, cause: Error): Error {
  const { message } = cause
  switch (codeOf(cause)) {
    case 'NOAUTH':
    case 'WRONGPASS':
      return connectFailure(where, cause)
    case 'NOPERM':
      return new Error(
        `Redis at ${where} does not let this user read ${what} (${message}). Allow it in the ` +
          "user's ACL.",
        { cause },
      )
    case 'WRONGTYPE':
      return new Error(
        `${what} is no stream in Redis at ${where} (${message}). Give another address, or delete ` +
          'the key.',
        { cause },
      )
    case 'MOVED':
    case 'ASK':
    case 'CROSSSLOT':
      return new Error(
        `${what} is not on the node of Redis Cluster at ${where} (${message}). Give the address ` +
          'of the node that has it; the driver does not follow a cluster.',
        { cause },
      )
    default:
      return new Error(`Redis at ${where} did not open ${what} (${message}).`, { cause })
  }
}

/** The error of a topic that could not be opened in time, with the last thing that went wrong. */
export function notInTime(what: string, where: string, timeout: number, cause: Error): Error {
  const advice = isReply(cause) ? adviceOn(codeOf(cause)) : ' Check that it is up and reachable.'
  return new Error(
    `Redis at ${where} did not open ${what} within ${timeout} ms (${cause.message}).${advice}`,
    { cause },
  )
}

function adviceOn(code: string): string {
  return code === 'READONLY' ? ' It is a replica: give the address of the master.' : ''
}
