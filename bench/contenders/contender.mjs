// What every contender that runs in Node has in common: its topics, and the orders that it takes
// from the bench over IPC.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** What each plain contender writes first, so that a client knows that it is there. */
export const HELLO = 'data: hello\n\n'

export const STREAM_HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}

const clients = Number(process.env.CLIENTS)
const topics = Number(process.env.TOPICS)
const perClient = Number(process.env.PER_CLIENT)

/** Numbers that look random and are the same in every run (mulberry32). */
function generator(seed) {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** The topics of the client with this index: different ones, at random. */
export function topicsOf(index) {
  if (topics === 1) return ['topic0']
  // As an AI server has them: each topic has one reader.
  if (topics === clients && perClient === 1) return [`topic${index % topics}`]
  const random = generator(index + 1)
  const mine = new Set()
  while (mine.size < perClient) mine.add(`topic${random(topics)}`)
  return [...mine]
}

/** The index in `/events?i=…`. */
export function indexOf(url) {
  const at = url.indexOf('i=')
  return Number.parseInt(url.slice(at + 2), 10)
}

/** An event of the form and the size that unifrost sends. */
export function eventText(number, topic, payload) {
  return `id: 0123456789-${number}\nevent: ${topic}\ndata: ${payload}\n\n`
}

/** How many clients have each topic. */
function audiences() {
  const audience = new Map()
  for (let index = 0; index < clients; index++) {
    for (const topic of topicsOf(index)) audience.set(topic, (audience.get(topic) ?? 0) + 1)
  }
  return audience
}

let audience
let cpu = process.cpuUsage()
let peak = 0
const pick = generator(12_345)

/** A payload of so many bytes that begins with the time at which it was made. */
function payloadOf(bytes) {
  const stamp = `~${process.hrtime.bigint()}~`
  return stamp + 'x'.repeat(Math.max(0, bytes - stamp.length))
}

/**
 * Publishes `messages`, `burst` of them in one turn of the event loop, one such turn after the
 * other or, with `rate`, so many a second, and answers how many deliveries that makes.
 */
function publish(send, { messages, bytes, burst, rate }) {
  audience ??= audiences()
  cpu = process.cpuUsage()
  peak = 0
  const began = performance.now()
  let sent = 0
  let owed = 0
  const some = (count) => {
    for (const end = Math.min(messages, sent + count); sent < end; sent++) {
      const topic = `topic${topics === 1 ? 0 : pick(topics)}`
      owed += audience.get(topic) ?? 0
      send(topic, payloadOf(bytes))
    }
    if (sent % 64 < count) peak = Math.max(peak, process.memoryUsage.rss())
  }
  return new Promise((resolve) => {
    const turn = () => {
      some(burst)
      if (sent < messages) setImmediate(turn)
      else resolve({ owed, us: (performance.now() - began) * 1000 })
    }
    if (rate === undefined) return turn()
    const timer = setInterval(() => {
      const due = Math.floor(((performance.now() - began) / 1000) * rate)
      // One in a turn: what is late goes out by and by.
      if (sent < due) some(1)
      if (sent < messages) return
      clearInterval(timer)
      resolve({ owed, us: (performance.now() - began) * 1000 })
    }, 1)
  })
}

function usage(collect) {
  const { user, system } = process.cpuUsage(cpu)
  if (collect) {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc')
    for (let i = 0; i < 4; i++) gc()
  }
  const { rss, heapUsed } = process.memoryUsage()
  return { cpuUs: user + system, rss, heap: heapUsed, peak: Math.max(peak, rss) }
}

/**
 * Listens, and does what the bench says until it goes away.
 *
 * @param server An HTTP server, or anything with its `listen` and `address`.
 * @param send Publishes a payload to a topic.
 */
export function contend(server, send) {
  process.on('message', async ({ order, ...details }) => {
    if (order === 'publish') process.send(await publish(send, details))
    else if (order === 'usage') process.send(usage(details.collect))
    else if (order === 'mark') {
      cpu = process.cpuUsage()
      process.send({})
    }
  })
  process.on('disconnect', () => process.exit())
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
    process.send({ port: server.address().port })
  })
}

/** A list for each topic. */
export class Lists {
  #lists = new Map()

  of(topic) {
    let list = this.#lists.get(topic)
    if (list === undefined) this.#lists.set(topic, (list = new Set()))
    return list
  }

  add(index, member) {
    for (const topic of topicsOf(index)) this.of(topic).add(member)
  }

  delete(index, member) {
    for (const topic of topicsOf(index)) this.of(topic).delete(member)
  }
}
