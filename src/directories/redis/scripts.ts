import { createHash } from 'node:crypto'

/** A script that Redis runs as one step. */
export interface Script {
  readonly text: string
  readonly sha: string
}

function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

/** The time in milliseconds. Only the clock of Redis counts, so that all servers go by one. */
const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

/** Removes the members of a set whose time is over. The set itself expires with its last member. */
const TIDY = `
local function tidy(key)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  if last[2] then redis.call('PEXPIREAT', key, last[2]) end
end
`

/** KEYS: the entry, the owner's set. ARGV: revision, new revision, text, ttl, id, 1 with an owner. */
export const PUT = script(`
local value = redis.call('GET', KEYS[1])
local revision = value and string.match(value, '^[^\\n]*') or ''
if revision ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2] .. '\\n' .. ARGV[3], 'PX', ARGV[4])
if ARGV[6] == '1' then
  ${NOW}${TIDY}
  redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[5])
  tidy(KEYS[2])
end
return 1
`)

/** KEYS: the entry, the owner's set. ARGV: revision, id, 1 with an owner. */
export const DELETE = script(`
local value = redis.call('GET', KEYS[1])
if value and string.match(value, '^[^\\n]*') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
if ARGV[3] == '1' then redis.call('ZREM', KEYS[2], ARGV[2]) end
return 1
`)

/** KEYS: a set. ARGV: a member, for how long it stays in it. */
export const RENEW = script(`
${NOW}${TIDY}
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
tidy(KEYS[1])
return 1
`)

/** KEYS: a set. */
export const MEMBERS = script(`
${NOW}
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
`)
