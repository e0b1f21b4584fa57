/** The server of a load run: a Streamer on the memory driver, told what to do by its parent. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { memoryDriver, Streamer } from '../../src/index.js'
import type { ServerCommand, ServerReport } from './messages.js'

const TOPICS = Number(process.env.TOPICS)
const PER_CLIENT = Number(process.env.PER_CLIENT)
const MEBIBYTE = 1024 * 1024

const driver = memoryDriver()
const streamer = new Streamer(driver, {
  clientTTL: Number(process.env.CLIENT_TTL ?? 60_000),
  history: { maxBytes: Number(process.env.HISTORY_MIB ?? 64) * MEBIBYTE },
})

/** The same topics for the same client in every run. */
function topicsOf(index: number): string[] {
  return Array.from({ length: PER_CLIENT }, (_, i) => `t${(index * 7 + i * 131) % TOPICS}`)
}

/** How many clients have each topic, and how many deliveries that makes of what was published. */
const audience = new Map<string, number>()
let owed = 0

const server = createServer((request, response) => {
  const id = new URLSearchParams(request.url!.split('?')[1]).get('id')!
  void arrive(id).then(() => streamer.handle(request, response, { id }))
})

async function arrive(id: string): Promise<void> {
  if (streamer.getClient(id) !== undefined) return
  await streamer.newCustomClient(id)
  const index = Number(id.slice(1))
  for (const topic of topicsOf(index)) audience.set(topic, (audience.get(topic) ?? 0) + 1)
  await Promise.all(topicsOf(index).map((topic) => streamer.subscribe(id, topic)))
}

const delay = monitorEventLoopDelay({ resolution: 5 })
delay.enable()
let cpu = process.cpuUsage()

function report(): ServerReport {
  for (let i = 0; i < 3; i++) globalThis.gc!()
  const { rss, heapUsed } = process.memoryUsage()
  const used = process.cpuUsage(cpu)
  cpu = process.cpuUsage()
  const loopDelay = delay.max / 1e6
  delay.reset()
  const stats = streamer.stats()
  const handles: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) handles[kind] = (handles[kind] ?? 0) + 1
  return {
    rss,
    heap: heapUsed,
    cpu: used.user + used.system,
    loopDelay,
    clients: stats.clients,
    connections: stats.connections,
    topics: stats.topics,
    historyBytes: stats.history.bytes,
    owed,
    messagesLost: stats.messagesLost,
    handles,
  }
}

/** Publishes to random topics at an even rate; what a late timer misses is made up for. */
function publish(count: number, bytes: number, perSecond: number, done: () => void): void {
  const filling = 'x'.repeat(Math.max(0, bytes - 20))
  const start = performance.now()
  let seed = 1
  let sent = 0
  const timer = setInterval(() => {
    const due = Math.min(count, Math.ceil(((performance.now() - start) / 1000) * perSecond))
    for (; sent < due; sent++) {
      seed = (seed * 48_271) % 2_147_483_647
      const now = (performance.timeOrigin + performance.now()).toFixed(2)
      const topic = `t${seed % TOPICS}`
      owed += audience.get(topic) ?? 0
      driver.publish(topic, `${now} ${filling}`)
    }
    if (sent < count) return
    clearInterval(timer)
    done()
  }, 1)
}

process.on('message', (command: ServerCommand) => {
  if (command.do === 'measure') process.send!(report())
  else if (command.do === 'publish') {
    publish(command.count, command.bytes, command.perSecond, () => process.send!('done'))
  }
})
process.on('disconnect', () => process.exit())
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  process.send!((server.address() as AddressInfo).port)
})
