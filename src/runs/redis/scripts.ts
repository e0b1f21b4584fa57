import { createHash } from 'node:crypto'
import { PAUSED_TOO_LONG } from '../ending.js'

/** A script that Redis runs as one step. */
export interface Script {
  readonly text: string
  readonly sha: string
}

/** For how long it is remembered that a run has been, after it is no longer kept, in milliseconds. */
const REMEMBERED = 24 * 60 * 60 * 1000
/** What is no limit, in milliseconds. Redis takes no infinite time. */
export const FOREVER = 1e14

export const SERVER_LOST = {
  kind: 'failed',
  code: 'server-lost',
  message: 'The server that produced it is gone.',
} as const

/** A JSON as a text of Lua's. */
const lua = (value: unknown): string => `[==[${JSON.stringify(value)}]==]`

/**
 * What all scripts begin with. `ARGV[1]` is the prefix of all keys; `KEYS[1]` only says which node of
 * a cluster has them. Only the clock of Redis counts, so that all servers go by one.
 *
 * Of a run there are: the hash `run:<id>`, the stream `log:<id>` with a batch of parts in each entry,
 * the list `in:<id>` (its inbox) and the hash `readers:<id>`. `name:<name>` is the id of the newest run
 * of a name, `live` says until when each run has a producer, `owner:<owner>` until when each is kept.
 */
const COMMON = `
local P = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function run(id) return P .. 'run:' .. id end
local function expire(key, life)
  if life < ${FOREVER} then redis.call('PEXPIRE', key, life) end
end
local function finish(id, ending)
  local h = redis.call('HMGET', run(id), 'key', 'owner', 'keep')
  local keep = tonumber(h[3])
  redis.call('HSET', run(id), 'state', 'ended', 'end', ending, 'ended', now)
  redis.call('ZREM', P .. 'live', id)
  redis.call('DEL', P .. 'in:' .. id, P .. 'readers:' .. id)
  local life = keep + ${REMEMBERED}
  expire(run(id), life)
  if redis.call('GET', P .. 'name:' .. h[1]) == id then expire(P .. 'name:' .. h[1], life) end
  if keep == 0 then redis.call('DEL', P .. 'log:' .. id) else expire(P .. 'log:' .. id, keep) end
  if h[2] then
    redis.call('ZADD', P .. 'owner:' .. h[2], now + keep, id)
    if redis.call('ZCOUNT', P .. 'owner:' .. h[2], '+inf', '+inf') == 0 then
      expire(P .. 'owner:' .. h[2], life)
    end
  end
  redis.call('PUBLISH', P .. 'feed:' .. id, 'end')
end
local function settle(id)
  local h = redis.call('HMGET', run(id), 'state', 'until')
  if h[1] and h[1] ~= 'ended' and tonumber(h[2]) < now then
    finish(id, h[1] == 'paused' and ${lua(PAUSED_TOO_LONG)} or ${lua(SERVER_LOST)})
  end
end
local function held(id, term)
  local h = redis.call('HMGET', run(id), 'term', 'state')
  return h[1] == term and h[2] ~= 'ended' and h[2] ~= 'paused'
end
local function readers(id)
  local sum = 0
  local all = redis.call('HGETALL', P .. 'readers:' .. id)
  for i = 2, #all, 2 do
    local count, till = string.match(all[i], '(%d+) (%d+)')
    if tonumber(till) > now then sum = sum + tonumber(count) end
  end
  return sum
end
local function record(id)
  settle(id)
  local all = redis.call('HGETALL', run(id))
  if #all == 0 then return false end
  local h = redis.call('HMGET', run(id), 'state', 'ended', 'keep')
  local gone = h[1] == 'ended' and now >= tonumber(h[2]) + tonumber(h[3])
  return {gone and 1 or 0, readers(id), all}
end
`

function script(text: string): Script {
  const whole = COMMON + text
  return { text: whole, sha: createHash('sha1').update(whole).digest('hex') }
}

/**
 * ARGV: prefix, name, id, has an owner, owner, resumes, maxRuns, maxRunsPerOwner, keep, maxPause,
 * lease, server, token. The token names the call: one that is repeated gets what the first one got.
 */
export const ACQUIRE = script(`
local name, id, owned, owner, resumes = ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5], ARGV[6] == '1'
local lease, server, token = tonumber(ARGV[11]), ARGV[12], ARGV[13]
local function granted(id)
  local h = redis.call('HMGET', run(id), 'term', 'parts', 'bytes', 'seq', 'taken')
  return {'lease', id, h[1], h[2], h[3], h[4], h[5]}
end
local function take(id, term)
  redis.call('HSET', run(id), 'state', 'running', 'term', term, 'until', now + lease,
    'server', server, 'token', token, 'stop', 0)
  redis.call('ZADD', P .. 'live', now + lease, id)
  return granted(id)
end
local there = redis.call('GET', P .. 'name:' .. name)
if there then
  local found = record(there)
  if found then
    local h = redis.call('HMGET', run(there), 'owner', 'state', 'token', 'term')
    local same = (h[1] and owned and h[1] == owner) or (not h[1] and not owned)
    if h[3] == token then return granted(there) end
    if resumes then
      if not same then return {'foreign'} end
      if h[2] == 'paused' then return take(there, tonumber(h[4]) + 1) end
      return {'found', found}
    end
    if found[1] == 0 then
      if not same then return {'foreign'} end
      if h[2] ~= 'ended' then return {'found', found} end
    end
  end
end
if resumes then return {'none'} end
if redis.call('ZCARD', P .. 'live') >= tonumber(ARGV[7]) then return {'full', 'maxRuns', ARGV[7]} end
if owned then
  local mine = P .. 'owner:' .. owner
  redis.call('ZREMRANGEBYSCORE', mine, '-inf', now)
  if redis.call('ZCOUNT', mine, '+inf', '+inf') >= tonumber(ARGV[8]) then
    return {'full', 'maxRunsPerOwner', ARGV[8]}
  end
  redis.call('ZADD', mine, '+inf', id)
  redis.call('PERSIST', mine)
  redis.call('HSET', run(id), 'owner', owner)
end
redis.call('HSET', run(id), 'id', id, 'key', name, 'started', now, 'keep', ARGV[9], 'maxPause', ARGV[10],
  'parts', 0, 'bytes', 0, 'seq', 0, 'taken', 0)
redis.call('SET', P .. 'name:' .. name, id)
return take(id, 1)
`)

/**
 * ARGV: prefix, then for each batch: id, term, its place in the run, parts, bytes, the batch. A batch
 * that stands there already was written by the same call before.
 */
export const APPEND = script(`
local answers = {}
for i = 2, #ARGV, 6 do
  local id, term, seq = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local h = redis.call('HMGET', run(id), 'term', 'state', 'seq', 'parts', 'bytes')
  local answer = 0
  if h[1] == term and h[2] ~= 'ended' and h[2] ~= 'paused' then
    local last = tonumber(h[3])
    if seq == last + 1 then
      redis.call('XADD', P .. 'log:' .. id, seq .. '-0', 'b', ARGV[i + 5])
      redis.call('HSET', run(id), 'seq', seq, 'parts', h[4] + ARGV[i + 3], 'bytes', h[5] + ARGV[i + 4])
      redis.call('PUBLISH', P .. 'feed:' .. id, seq .. ':' .. ARGV[i + 5])
      answer = 1
    elseif seq <= last then
      answer = 1
    end
  end
  answers[#answers + 1] = answer
end
return answers
`)

/** ARGV: prefix, id, term, the end. */
export const END = script(`
local h = redis.call('HMGET', run(ARGV[2]), 'term', 'state', 'end')
if h[1] ~= ARGV[3] then return 0 end
if h[2] == 'ended' then return h[3] == ARGV[4] and 1 or 0 end
if h[2] == 'paused' then return 0 end
finish(ARGV[2], ARGV[4])
return 1
`)

/** ARGV: prefix, id, term, how many messages its producer has read, the end if it is to stop. */
export const PAUSE = script(`
local id = ARGV[2]
local h = redis.call('HMGET', run(id), 'term', 'state', 'maxPause')
if h[1] ~= ARGV[3] then return 0 end
if h[2] == 'paused' then return 1 end
if h[2] == 'ended' then return 0 end
if h[2] == 'stopping' then
  finish(id, ARGV[5])
  return 1
end
local till = now + tonumber(h[3])
redis.call('HSET', run(id), 'state', 'paused', 'until', till, 'taken', ARGV[4])
redis.call('ZADD', P .. 'live', till, id)
return 1
`)

/** ARGV: prefix, id, term, state. */
export const WAITING = script(`
if not held(ARGV[2], ARGV[3]) then return 0 end
if redis.call('HGET', run(ARGV[2]), 'state') == 'stopping' then return 0 end
redis.call('HSET', run(ARGV[2]), 'state', ARGV[4])
return 1
`)

/** ARGV: prefix, id, the end of a run that has no producer. */
export const STOP = script(`
local id = ARGV[2]
settle(id)
local h = redis.call('HMGET', run(id), 'state', 'server')
if not h[1] then return false end
if h[1] == 'paused' then
  finish(id, ARGV[3])
elseif h[1] ~= 'ended' then
  redis.call('HSET', run(id), 'state', 'stopping')
  redis.call('PUBLISH', P .. 'server:' .. h[2], id)
end
return h[1]
`)

/** ARGV: prefix, id, the message with its token before it. */
export const TELL = script(`
local id = ARGV[2]
settle(id)
local h = redis.call('HMGET', run(id), 'state', 'server')
if not h[1] or h[1] == 'ended' then return false end
local count = redis.call('LLEN', P .. 'in:' .. id)
for i, message in ipairs(redis.call('LRANGE', P .. 'in:' .. id, -20, -1)) do
  if message == ARGV[3] then return count end
end
count = redis.call('RPUSH', P .. 'in:' .. id, ARGV[3])
redis.call('PUBLISH', P .. 'server:' .. h[2], id)
return count
`)

/**
 * ARGV: prefix, lease, then for each run: id, term, how many messages its producer was told. Gives
 * for each: whether it is still held, whether it is to stop, its readers, its new messages.
 */
export const RENEW = script(`
local answers = {}
for i = 3, #ARGV, 3 do
  local id = ARGV[i]
  if held(id, ARGV[i + 1]) then
    local till = now + tonumber(ARGV[2])
    redis.call('HSET', run(id), 'until', till)
    redis.call('ZADD', P .. 'live', till, id)
    local state = redis.call('HGET', run(id), 'state')
    local messages = redis.call('LRANGE', P .. 'in:' .. id, ARGV[i + 2], -1)
    answers[#answers + 1] = {1, state == 'stopping' and 1 or 0, readers(id), messages}
  else
    answers[#answers + 1] = {0, 0, 0, {}}
  end
end
return answers
`)

/** ARGV: prefix, server, for how long its word counts, then for each feed: id, readers. */
export const LOOK = script(`
for i, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'live', '-inf', now, 'LIMIT', 0, 100)) do
  if redis.call('EXISTS', run(id)) == 1 then settle(id) else redis.call('ZREM', P .. 'live', id) end
end
local answers = {}
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  local h = redis.call('HMGET', run(id), 'seq', 'state')
  if h[1] and h[2] ~= 'ended' then
    redis.call('HSET', P .. 'readers:' .. id, ARGV[2], ARGV[i + 1] .. ' ' .. (now + ARGV[3]))
  end
  answers[#answers + 1] = {tonumber(h[1] or -1), h[2] == 'ended' and 1 or 0}
end
return answers
`)

/** ARGV: prefix, name. */
export const FIND = script(`
local id = redis.call('GET', P .. 'name:' .. ARGV[2])
return id and record(id)
`)

/** ARGV: prefix, id. */
export const GET = script(`return record(ARGV[2])`)

/** ARGV: prefix, owner. */
export const LIST = script(`
local all = {}
redis.call('ZREMRANGEBYSCORE', P .. 'owner:' .. ARGV[2], '-inf', now)
for i, id in ipairs(redis.call('ZRANGE', P .. 'owner:' .. ARGV[2], 0, -1)) do
  local found = record(id)
  if found and found[1] == 0 then all[#all + 1] = found end
end
return all
`)
