import { cpus } from 'node:os'
import { setInterval } from 'node:timers/promises'
import { writeFile } from 'node:fs/promises'
import { lastingPort } from '../../test/brokers/process.js'
import { Child } from '../kit/child.js'
import { Crowd } from '../kit/crowd.js'
import { timestamp } from '../kit/stream-reader.js'
import { writeSection } from '../kit/page.js'
import { until } from '../../test/support/until.js'
import { costPlot } from './cost-plot.js'
import type { CostPoint } from './cost-model.js'
import {
  COST_EACH,
  COST_HEARTBEAT,
  COST_RATE,
  COST_SIZE,
  COST_TOPICS,
  fitOf,
} from './cost-model.js'
import { costTables } from './cost-tables.js'
import { address } from './fleet.js'
import type { Answer, Ask, ClusterConfig, ClusterServer } from './cluster-server-messages.js'
import { commandsOf, redisEngine, redisServer } from './engine-redis.js'

const IDLE = 8_000
/** For how many seconds there are messages, before any are measured and then. */
const WARM_SECONDS = 2
const SECONDS = 5
/** How many messages a second of a topic that nobody has. */
const READ_RATE = 500
const WARM = 100
/** How many connections may be on their way at once, and how often one that is refused is tried. */
const ABREAST = 50
const TRIES = 20

interface Settings {
  short: boolean
  /** Whether the figures go into the docs. */
  write: boolean
  say(line: string): void
}

/** Measures each number of servers with each number of clients, and fits a line to what it got. */
export async function costs({ short, write, say }: Settings): Promise<void> {
  const sizes = short ? [500, 1_000] : [1_000, 3_000, 10_000]
  const points: CostPoint[] = []
  for (const servers of [1, 2, 3]) {
    for (const clients of sizes) {
      const point = await measure(servers, clients)
      say(JSON.stringify(point))
      points.push(point)
    }
  }
  const fit = fitOf(points)
  const command = `npm run test:cluster -- --costs${short ? ' --short' : ''}`
  const machine = `Node ${process.versions.node}, ${cpus().length} cores of ${cpus()[0]?.model}`
  const tables = costTables(points, fit, { command, machine })
  say(tables)
  if (!write) return
  const plot = new URL('../../docs/scaling-costs.svg', import.meta.url)
  await writeFile(plot, costPlot(points, fit))
  await writeSection('scaling.md', 'costs', tables)
}

async function measure(count: number, clients: number): Promise<CostPoint> {
  const engine = await redisEngine()
  // One of its own, so that what it does is not mixed up with what the stream costs.
  const directory = await redisServer()
  const servers: ClusterServer[] = []
  const places: { host: string; port: number }[] = []
  const port = await lastingPort()
  try {
    for (let i = 0; i < count; i++) {
      const host = address()
      places.push({ host, port })
      const config: ClusterConfig = {
        ...{ name: `s${i + 1}`, host, port, drainOver: 0 },
        driver: engine.driver('costs'),
        directory: directory.directory('costs'),
        options: { heartbeatInterval: COST_HEARTBEAT, topicLinger: 60_000 },
      }
      const script = new URL('cluster-server.ts', import.meta.url)
      servers.push(await Child.start<Ask, Answer>(script, config))
    }
    const register = { each: COST_EACH, topics: COST_TOPICS }
    const crowd = await Crowd.start({ servers: places, abreast: ABREAST, tries: TRIES, register })
    try {
      return await phases({ engine, directory }, servers, clients, crowd)
    } finally {
      await crowd.stop()
    }
  } finally {
    await Promise.all(servers.map((server) => server.kill()))
    await Promise.all([engine.stop(), directory.stop()])
  }
}

interface Engines {
  engine: Awaited<ReturnType<typeof redisEngine>>
  directory: Awaited<ReturnType<typeof redisServer>>
}

async function phases(
  { engine, directory }: Engines,
  servers: readonly ClusterServer[],
  clients: number,
  crowd: Crowd,
): Promise<CostPoint> {
  const look = async () => {
    const reports = await Promise.all(servers.map((server) => server.mustAsk({ do: 'memory' })))
    return {
      cpu: reports.reduce((sum, { cpu }) => sum + cpu, 0),
      rss: reports.reduce((sum, { rss }) => sum + rss, 0),
      operations: await directory.operations(),
      reads: (await commandsOf(engine.client)).get('xread') ?? 0,
      brokerBusy: (await engine.usage()).busy,
      ...(await directory.usage()),
    }
  }
  const ready = async () => {
    const reports = await Promise.all(servers.map((server) => server.mustAsk({ do: 'report' })))
    return reports.every(({ directory }) => directory === 'up')
  }
  await until('the servers to have their directory', ready)
  // What is compiled and loaded with the first clients is nobody's cost.
  await crowd.tell({ do: 'open', from: 0, to: WARM })
  await crowd.allGreeted(WARM)
  const before = await look()
  await crowd.tell({ do: 'open', from: WARM, to: clients })
  await crowd.allGreeted(clients)
  const connected = await look()
  const share = clients / (clients - WARM)

  const idleFrom = performance.now()
  await until('the idle time', () => performance.now() > idleFrom + IDLE, 2 * IDLE)
  const idle = await look()
  const idled = (performance.now() - idleFrom) / 1_000

  const fanOut = (clients * COST_EACH) / COST_TOPICS
  const publish = async (messages: number, rate: number, topicOf: (i: number) => string) => {
    let i = 0
    for await (const filling of setInterval(1_000 / rate, 'x')) {
      await engine.publish('costs', [[topicOf(i), `${timestamp()} `.padEnd(COST_SIZE, filling)]])
      if (++i === messages) break
    }
  }
  const deliver = async (seconds: number) => {
    await crowd.take()
    const messages = Math.ceil((seconds * COST_RATE) / fanOut)
    await publish(messages, COST_RATE / fanOut, (i) => `t${i % COST_TOPICS}`)
    await crowd.allReceived(messages * fanOut)
    return messages
  }
  await deliver(WARM_SECONDS)
  // What costs time beyond what idling takes.
  const idleCpu = (idle.cpu - connected.cpu) / idled
  const during = async <T>(act: () => Promise<T>) => {
    const [from, before] = [performance.now(), await look()]
    const result = await act()
    const after = await look()
    const cpu = after.cpu - before.cpu - (idleCpu * (performance.now() - from)) / 1_000
    return { result, before, after, cpu }
  }
  const unread = READ_RATE * SECONDS
  const read = await during(() => publish(unread, READ_RATE, () => 'nobody'))
  const sent = await during(() => deliver(SECONDS))
  const messages = sent.result

  await crowd.tell({ do: 'cut' })
  await crowd.allGreeted(clients)
  const adopted = await look()
  const { refused } = await crowd.take()
  return {
    servers: servers.length,
    clients,
    connectCpu: (connected.cpu - before.cpu) * share,
    adoptCpu: adopted.cpu - sent.after.cpu,
    idleCpu,
    memory: (connected.rss - before.rss) * share,
    messages,
    deliveries: messages * fanOut,
    readCpu: read.cpu / servers.length / unread,
    messageCpu: sent.cpu,
    connectOperations: (connected.operations - before.operations) / (clients - WARM),
    adoptOperations: (adopted.operations - sent.after.operations) / clients,
    idleOperations: (idle.operations - connected.operations) / idled,
    directoryMemory: (connected.memory - before.memory) / (clients - WARM),
    messageOperations: sent.after.operations - sent.before.operations,
    brokerReads: (sent.after.reads - sent.before.reads) / servers.length / messages,
    directoryCpu: (connected.busy - before.busy) / (connected.operations - before.operations),
    refused: Object.entries(refused)
      .map(([line, count]) => `${count} × ${line}`)
      .join(', '),
    brokerCpu: (sent.after.brokerBusy - sent.before.brokerBusy) / servers.length / messages,
  }
}
