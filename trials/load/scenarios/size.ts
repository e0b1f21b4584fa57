import { performance } from 'node:perf_hooks'
import type { Row } from '../../kit/row.js'
import { seconds, Trial, whole } from '../../kit/row.js'
import type { Point } from '../plot.js'
import { EACH, onStage, TOPICS } from '../load-stage.js'

const RATE = 100
const BYTES = 200
const SECONDS = 30

/** What a connection costs, and how long a message takes, by the number of clients. */
export async function sizes(clients: number): Promise<{ rows: Row[]; points: Point[] }> {
  const trial = new Trial()
  const points: Point[] = []
  for (const share of [0.1, 0.25, 0.5, 1])
    points.push(await one(Math.round(clients * share), trial))
  const each = (what: (point: Point) => string) =>
    points.map((point) => `${what(point)} (${whole(point.clients)})`).join(', ')
  const last = points.at(-1)!
  const rows = [
    {
      promise: 'A connection costs little memory',
      how: `up to ${whole(clients)} clients in one process, ${EACH} of ${whole(TOPICS)} topics each, connected and idle`,
      figure:
        `resident for each connection: ${each((point) => `${point.kilobytes.toFixed(1)} kB`)}; ` +
        `all connected after ${seconds(last.connecting)}`,
      problems: [],
    },
    {
      promise: 'Messages come at once',
      how: `the same clients; ${RATE} messages/s of ${BYTES} B for ${SECONDS} s, each for a hundredth of the clients`,
      figure:
        `p50 ${each((point) => `${point.p50.toFixed(1)} ms`)}; ` +
        `p99 ${each((point) => `${point.p99.toFixed(1)} ms`)}; event loop at most ` +
        `${last.loopDelay.toFixed(0)} ms late with ${whole(clients)}`,
      problems: trial.problems,
    },
  ]
  return { rows, points }
}

async function one(clients: number, trial: Trial): Promise<Point> {
  return onStage({}, async ({ server, crowd }) => {
    const empty = await server.measure()
    const began = performance.now()
    await crowd.tell({ do: 'open', from: 0, to: clients })
    await crowd.allGreeted(clients)
    const connecting = performance.now() - began
    const idle = await server.measure()
    trial.must(idle.connections === clients, `${idle.connections} of ${clients} are connected`)
    await server.publish(5 * RATE, BYTES, RATE)
    const warm = await server.measure()
    await crowd.allReceived(warm.owed)
    await server.publish(SECONDS * RATE, BYTES, RATE)
    const { owed, loopDelay } = await server.measure({ collect: false })
    const { received, lost, p50, p99 } = await crowd.allReceived(owed - warm.owed)
    trial.must(received === owed - warm.owed, `${received} of ${owed - warm.owed} came`)
    trial.must(lost === 0, `${lost} times messages-lost`)
    const kilobytes = (idle.rss - empty.rss) / clients / 1_000
    return { clients, kilobytes, p50, p99, connecting, loopDelay }
  })
}
