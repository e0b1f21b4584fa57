import { randomBytes } from 'node:crypto'

/** Sends a command and gives the reply. */
export type Call = (...command: string[]) => Promise<unknown>

/** How many characters of an epoch are the time of its making; so many do until the year 5188. */
const TIME_DIGITS = 9

const EPOCH = /^[0-9a-z]{9}[0-9a-f]{10}$/

/** Puts an epoch in the place of the one that somebody has seen there, unless it is another by now. */
const CLAIM = `
local was = redis.call('GET', KEYS[1]) or ''
if was ~= ARGV[1] then return was end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]`

/** The key beside a stream that holds its epoch; on the same node of a cluster. */
export function epochKey(stream: string): string {
  const isTagged = /^[^{]*\{[^}]+\}/.test(stream)
  return isTagged ? `${stream}:epoch` : `{${stream}}:epoch`
}

/**
 * The epoch of a stream by all that its readers know. Redis gives a stream no name that another one
 * of the same key has not, so it stands in a key beside it: gone when Redis loses what it had, and
 * replaced by the first reader that sees the stream go back.
 *
 * Epochs begin with the time of their making, so that they are in order. One older than `known` has
 * come back with an old state of Redis, and does not count any more.
 *
 * @param found What the key holds.
 * @param known What the reader has gone by so far.
 * @param isBack Whether the stream is not the one that the reader has read, or went back.
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
  return time.toString(36).padStart(TIME_DIGITS, '0') + randomBytes(5).toString('hex')
}
