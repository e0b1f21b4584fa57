/** The server of a load run: a Streamer on the memory driver, told what to do by its parent. */
import express from 'express'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { Client, Clock, Driver } from '../../src/index.js'
import { limitConnectionRate, memoryDriver, Streamer } from '../../src/index.js'
import { autoClient, unifrostExpress } from '../../middleware/express.js'
import { answerParent, collectGarbage, configFromParent } from '../kit/child-program.js'
import { serve } from '../kit/serving.js'
import { timestamp } from '../kit/stream-reader.js'
import type { LoadSettings, ServerCommand, ServerReport } from './counting-server-messages.js'

const { topics, each, options, sockets } = configFromParent<LoadSettings>()

const memory = memoryDriver()
let open = 0
/** The memory driver, which counts what it has open. */
const driver: Driver = {
  async subscribe(topic, sink) {
    const subscription = await memory.subscribe(topic, sink)
    open++
    return {
      close() {
        open--
        return subscription.close()
      },
    }
  },
  close: () => memory.close(),
}
let timers = 0
/** The usual clock, which counts the timers that are set. */
const clock: Clock = {
  now: () => performance.now(),
  setTimeout(callback, milliseconds) {
    timers++
    const ring = () => {
      timers--
      callback()
    }
    return setTimeout(ring, milliseconds).unref()
  },
  clearTimeout(timer) {
    timers--
    clearTimeout(timer as NodeJS.Timeout)
  },
}
const streamer = new Streamer(driver, { ...options, clock })
/** Not to be seen from outside, and still what could pile up. */
const { parts } = streamer as unknown as { parts: { timers: { size: number } } }
const { timers: agenda } = parts
const live = new Set<Client>()
streamer.on('clientCreated', (client) => void live.add(client))
streamer.on('clientRemoved', (client) => void live.delete(client))

/** How many clients have each topic, and how many deliveries that makes of what was published. */
const audience = new Map<string, number>()
let owed = 0

/** The same topics for the same client in every run. */
function topicsOf(id: string): string[] {
  const index = Number(id.slice(1))
  return Array.from({ length: each }, (_, i) => `t${(index * 7 + i * 131) % topics}`)
}

async function arrive(id: string): Promise<void> {
  if (streamer.getClient(id) !== undefined) return
  await streamer.newCustomClient(id)
  for (const topic of topicsOf(id)) audience.set(topic, (audience.get(topic) ?? 0) + 1)
  await Promise.all(topicsOf(id).map((topic) => streamer.subscribe(id, topic)))
}

// Whoever floods comes in as strangers do: through a framework and its middleware.
const app = express()
app.use(autoClient(streamer, { authorize: () => true }), unifrostExpress(streamer))

/** Some clients leave a topic for another one. */
async function churn(count: number): Promise<void> {
  const clients = [...live]
  for (let i = 0; i < count && clients.length > 0; i++) {
    const { id, topics: has } = clients[Math.floor(Math.random() * clients.length)]!
    if (has.length > 0) await streamer.unsubscribe(id, has[0]!)
    await streamer.subscribe(id, `t${Math.floor(Math.random() * topics)}`)
  }
}

const delay = monitorEventLoopDelay({ resolution: 5 })
delay.enable()

function report(collect: boolean): ServerReport {
  const loopDelay = delay.max / 1e6
  if (collect) for (let i = 0; i < 3; i++) collectGarbage()
  const { rss, heapUsed } = process.memoryUsage()
  const stats = streamer.stats()
  const handles: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) handles[kind] = (handles[kind] ?? 0) + 1
  // The time that collecting takes is nobody's delay: it has been seen when this timer is due.
  setTimeout(() => delay.reset(), collect ? 20 : 0)
  return {
    rss,
    heap: heapUsed,
    loopDelay,
    clients: stats.clients,
    connections: stats.connections,
    topics: open,
    wantedTopics: new Set([...live].flatMap((client) => client.topics)).size,
    full: [...live].filter(({ connection }) => connection?.full === true).length,
    slow: stats.disconnects.slow,
    historyBytes: stats.history.bytes,
    historyFrames: stats.history.frames,
    owed,
    timers,
    appointments: agenda.size,
    handles,
  }
}

let seed = 1
/** Publishes to random topics at an even rate; what a late timer misses is made up for. */
function publish(count: number, bytes: number, perSecond: number): Promise<void> {
  const filling = 'x'.repeat(Math.max(0, bytes - 20))
  const start = performance.now()
  let sent = 0
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(count, Math.ceil(((performance.now() - start) / 1000) * perSecond))
      for (; sent < due; sent++) {
        seed = (seed * 48_271) % 2_147_483_647
        const topic = `t${seed % topics}`
        owed += audience.get(topic) ?? 0
        memory.publish(topic, `${timestamp()} ${filling}`)
      }
      if (sent < count) return
      clearInterval(timer)
      resolve()
    }, 1)
  })
}

async function obey(command: ServerCommand): Promise<ServerReport | Record<string, never>> {
  if (command.do === 'measure') return report(command.collect)
  if (command.do === 'churn') await churn(command.count)
  else if (command.do === 'limit') limitConnectionRate(server, command.rate)
  else await publish(command.count, command.bytes, command.perSecond)
  return {}
}

answerParent(obey)
const server = await serve(
  (request, response) => {
    const id = /^\/events\?id=(c\d+)$/.exec(request.url ?? '')?.[1]
    if (id === undefined) return app(request, response)
    return void arrive(id).then(() => streamer.handle(request, response, { id }))
  },
  {},
  (unopened) => {
    if (sockets !== undefined) unopened.maxConnections = sockets
  },
)
