import { performance } from 'node:perf_hooks'
import { until } from '../support/until.js'
import { Crowd, LoadServer } from './children.js'
import type { CrowdReport } from './messages.js'
import type { Point, Row } from './table.js'

const TOPICS = 1_000
const PER_CLIENT = 10
const MEBIBYTE = 1024 * 1024
/** How long anything may take to come about, in milliseconds. */
const PATIENCE = 120_000

interface Stage {
  server: LoadServer
  crowd: Crowd
}

async function onStage<T>(
  env: Record<string, string>,
  act: (stage: Stage) => Promise<T>,
): Promise<T> {
  const topics = { TOPICS: String(TOPICS), PER_CLIENT: String(PER_CLIENT) }
  const server = await LoadServer.start({ ...topics, ...env })
  const crowd = await Crowd.start(server.port)
  try {
    return await act({ server, crowd })
  } finally {
    await crowd.stop()
    await server.stop()
  }
}

const allGreeted = (crowd: Crowd, clients: number) =>
  until(
    `${clients} first messages`,
    async () => (await crowd.measure()).greeted === clients,
    PATIENCE,
  )

/** Waits until the crowd has got `expected` messages since `take`, and takes them. */
async function allReceived(crowd: Crowd, expected: number): Promise<CrowdReport> {
  await until(
    `${expected} messages`,
    async () => {
      await crowd.measure()
      return crowd.received >= expected
    },
    PATIENCE,
  )
  return crowd.take()
}

/** What a connection costs. */
export async function connected(clients: number): Promise<{ row: Row; point: Point }> {
  return onStage({}, async ({ server, crowd }) => {
    const before = await server.measure()
    crowd.open(0, clients)
    const start = performance.now()
    await allGreeted(crowd, clients)
    const seconds = (performance.now() - start) / 1000
    const after = await server.measure()
    const kilobytesEach = (after.rss - before.rss) / clients / 1000
    const row = {
      promise: 'A connection costs little memory',
      tried: `${clients} clients with ${PER_CLIENT} of ${TOPICS} topics, idle`,
      figure: `${kilobytesEach.toFixed(1)} kB resident each; all connected in ${seconds.toFixed(1)} s`,
      holds: after.connections === clients,
    }
    return { row, point: { clients, kilobytesEach } }
  })
}

/** How long a message takes. */
export async function deliver(clients: number): Promise<Row> {
  return onStage({}, async ({ server, crowd }) => {
    crowd.open(0, clients)
    await allGreeted(crowd, clients)
    await server.publish(500, 200, 100)
    const warm = await server.measure()
    await allReceived(crowd, warm.owed)
    await server.publish(3_000, 200, 100)
    const { owed, loopDelay } = await server.measure()
    const { p50, p99, max, received } = await allReceived(crowd, owed - warm.owed)
    return {
      promise: 'Messages come at once',
      tried: `100 messages/s of 200 B, each to ${Math.round((clients * PER_CLIENT) / TOPICS)} of ${clients} clients, for 30 s`,
      figure: `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, max ${max.toFixed(0)} ms; event loop at most ${loopDelay.toFixed(0)} ms late`,
      holds: received === owed - warm.owed,
    }
  })
}

/** All cut off at once, and back. */
export async function storm(clients: number): Promise<Row> {
  return onStage({}, async ({ server, crowd }) => {
    crowd.open(0, clients)
    await allGreeted(crowd, clients)
    await server.publish(200, 200, 100)
    const before = await server.measure()
    await allReceived(crowd, before.owed)
    crowd.tell({ do: 'cut' })
    // Published while they are away or on their way back.
    const start = performance.now()
    await server.publish(200, 200, 1_000)
    await allGreeted(crowd, clients)
    const seconds = (performance.now() - start) / 1000
    const after = await server.measure()
    const { received, lost } = await allReceived(crowd, after.owed - before.owed)
    return {
      promise: 'A storm of reconnects is over soon, and costs nobody a message',
      tried: `${clients} clients cut at once, 200 messages published meanwhile`,
      figure: `all caught up after ${seconds.toFixed(1)} s; ${received} messages, ${lost} losses told; event loop at most ${after.loopDelay.toFixed(0)} ms late`,
      holds: lost === 0 && received === after.owed - before.owed && after.connections === clients,
    }
  })
}

/** A fifth of the clients never reads. */
export async function neverRead(clients: number): Promise<Row[]> {
  const messages = 100_000
  const perSecond = 1_000
  const idle = Math.round(clients / 5)
  const run = (unread: number) =>
    onStage({}, async ({ server, crowd }) => {
      crowd.open(0, clients - idle)
      crowd.open(clients - idle, clients, unread === 0)
      await allGreeted(crowd, clients)
      await server.publish(500, 1_000, 500)
      const before = await server.measure()
      let peak = before.rss
      const times: CrowdReport[] = []
      for (let sent = 0; sent < messages; sent += messages / 20) {
        await server.publish(messages / 20, 1_000, perSecond)
        peak = Math.max(peak, (await server.measure()).rss)
        times.push(await crowd.measure())
      }
      const p99 = times.map((report) => report.p99).sort((a, b) => a - b)[times.length >> 1]!
      return { growth: peak - before.rss, p99, after: await server.measure() }
    })
  const without = await run(0)
  const with_ = await run(idle)
  const constant = 64 * MEBIBYTE
  const mebibytes = (bytes: number) => `${Math.round(bytes / MEBIBYTE)} MiB`
  return [
    {
      promise: 'Clients that never read cost no memory of their own',
      tried: `${idle} of ${clients} never read while ${messages} messages of 1 kB are published`,
      figure: `grew by ${mebibytes(with_.growth)} at the most, ${mebibytes(without.growth)} with all reading; the history may have 64 MiB`,
      holds: with_.growth <= 64 * MEBIBYTE + constant,
    },
    {
      promise: 'Clients that never read slow nobody else down',
      tried: 'the same; p99 of the others, median of 20 stretches',
      figure: `p99 ${with_.p99.toFixed(1)} ms, against ${without.p99.toFixed(1)} ms with all reading`,
      holds: with_.p99 <= without.p99 * 1.5 + 5,
    },
  ]
}

/** Clients come, subscribe, drop and expire, for a long time. */
export async function soak(clients: number, minutes: number): Promise<Row> {
  return onStage({ CLIENT_TTL: '2000' }, async ({ server, crowd }) => {
    const settle = Math.min(2, minutes / 5) * 60_000
    const end = performance.now() + minutes * 60_000
    const start = performance.now()
    let first: { heap: number; at: number } | undefined
    let next = 0
    crowd.open(next, (next += clients))
    await allGreeted(crowd, clients)
    while (performance.now() < end) {
      // A tenth goes for good, and as many come.
      const share = Math.ceil(clients / 10)
      crowd.tell({ do: 'drop', count: share })
      crowd.open(next, (next += share))
      await server.publish(100, 200, 200)
      await allGreeted(crowd, clients)
      if (first === undefined && performance.now() - start > settle) {
        first = { heap: (await server.measure()).heap, at: performance.now() - start }
      }
    }
    await until(
      'those who are gone to be forgotten',
      async () => (await server.measure()).clients === clients,
      PATIENCE,
    )
    const last = await server.measure()
    const change = (last.heap - first!.heap) / first!.heap
    const sockets = last.handles.TCPSocketWrap ?? 0
    return {
      promise: 'Nothing piles up',
      tried: `${minutes} minutes of churn: ${next} clients came, ${clients} at a time`,
      figure: `heap ${(change * 100).toFixed(1)} % after ${Math.round(first!.at / 1000)} s; ${sockets} sockets, ${last.topics} topics, ${last.handles.Timeout ?? 0} timers for ${clients} clients`,
      holds: change <= 0.05 && sockets <= clients && last.topics <= TOPICS,
    }
  })
}
