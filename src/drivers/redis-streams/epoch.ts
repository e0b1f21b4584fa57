import type { Command } from '../../brokers/redis/connection.js'
import { randomBytes } from 'node:crypto'

/** Sends a command and gives the reply. */
export type Call = (...command: Command) => Promise<unknown>

/** The value of the key: the epoch, and what positions are signed with. */
export function partsOf(value: string): { epoch: string; secret: string | undefined } {
  return { epoch: value.slice(0, EPOCH_DIGITS), secret: value.slice(EPOCH_DIGITS) || undefined }
}

/** An epoch begins with the time it was made, in so many characters: enough until the year 5188. */
const TIME_DIGITS = 9

/** How long an epoch is: the time, and ten random digits. */
const EPOCH_DIGITS = 19

const EPOCH = /^[0-9a-z]{9}[0-9a-f]{10}([0-9a-f]{32})?$/

/** Replaces the epoch that a server has read, unless another server has replaced it since. */
const CLAIM = `
local was = redis.call('GET', KEYS[1]) or ''
if was ~= ARGV[1] then return was end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]`

/** The key that holds a stream's epoch. Its hash tag puts both on the same node of a cluster. */
export function epochKey(stream: string): string {
  const isTagged = /^[^{]*\{[^}]+\}/.test(stream)
  return isTagged ? `${stream}:epoch` : `{${stream}}:epoch`
}

/**
 * Finds out the epoch of a stream. Redis can't tell a stream from another one that was made later
 * under the same key, so the epoch stands in a key beside it. That key is gone when Redis loses its
 * data, and the first server that sees the stream made anew, or gone back, replaces it.
 *
 * Epochs are in the order in which they were made. One that is older than `known` came back with an
 * old state of Redis, and is replaced.
 *
 * @param found The epoch in the key.
 * @param known The epoch that this server has gone by so far.
 * @param isBack Whether the stream was made anew, or has gone back, since this server read it.
 */
export async function settleEpoch(
  call: Call,
  key: string,
  found: string | undefined,
  known: string | undefined,
  isBack: boolean,
): Promise<string> {
  for (let now = found; ;) {
    const isValid = now !== undefined && EPOCH.test(now)
    const isOld = isValid && known !== undefined && (isBack ? now! <= known : now! < known)
    if (isValid && !isOld) return now!
    const epoch = newEpoch(known)
    now = String(await call('EVAL', CLAIM, '1', key, now ?? '', epoch))
    if (now === epoch) return epoch
  }
}

function newEpoch(after: string | undefined): string {
  const before = after === undefined ? 0 : Number.parseInt(after.slice(0, TIME_DIGITS), 36)
  const time = Math.max(Date.now(), before + 1)
  return time.toString(36).padStart(TIME_DIGITS, '0') + randomBytes(21).toString('hex')
}
