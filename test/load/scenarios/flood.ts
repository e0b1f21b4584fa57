import type { Row } from '../../faults/row.js'
import { Trial, whole } from '../../faults/row.js'
import { until } from '../../support/until.js'
import { Flooder } from '../flood.js'
import { allGreeted, onStage } from '../stage.js'

const CLIENTS = 1_000
const RATE = 5_000
const SECONDS = 10
/** Strangers that the server takes beside those who are there. */
const ROOM = 50
/** Sockets beside those of clients, for requests that are being answered. */
const SPARE = 14
const PER_ADDRESS = 20
const MESSAGES = { perSecond: 100, bytes: 200 }
/** How much later the messages of those who are there may come. */
const FACTOR = 2

const options = { maxConnectionsPerAddress: PER_ADDRESS, maxClients: CLIENTS + ROOM }

/** Strangers connect by the thousand, and those who are there hardly notice. */
export async function flood(): Promise<Row> {
  const trial = new Trial()
  return onStage({ options, sockets: CLIENTS + ROOM + SPARE }, async ({ server, crowd }) => {
    crowd.tell({ do: 'open', from: 0, to: CLIENTS })
    await allGreeted(crowd, CLIENTS)
    const flooder = await Flooder.build()
    try {
      const { perSecond, bytes } = MESSAGES
      const stretch = async () => {
        await server.publish(SECONDS * perSecond, bytes, perSecond)
        return crowd.take()
      }
      // The first time is for the machine to warm up, also to strangers.
      const order = { port: server.port, perSecond: RATE, seconds: 1 }
      await Promise.all([stretch(), flooder.flood(order)])
      await stretch()
      const quiet = await stretch()
      const before = await server.measure()
      const [flooded, report] = await Promise.all([
        stretch(),
        flooder.flood({ ...order, seconds: SECONDS }),
      ])
      const rate = report.opened / (report.milliseconds / 1_000)
      trial.must(rate >= RATE * 0.99, `only ${Math.round(rate)} connections a second were made`)
      const strange = Object.keys(report.statuses).filter((it) => !/^(200|429|503)$/.test(it))
      trial.must(strange.length === 0, `some were answered with ${strange.join()}`)
      trial.must(report.withoutRetryAfter === 0, `${report.withoutRetryAfter} without Retry-After`)
      for (const status of ['429', '503']) {
        trial.must(report.statuses[status] !== undefined, `nobody was answered with ${status}`)
      }
      trial.must(report.unanswered === 0, `${report.unanswered} were left waiting`)
      trial.must(flooded.ended === 0, `${flooded.ended} streams ended`)
      trial.must(flooded.lost === 0, `${flooded.lost} times messages-lost`)
      // Whatever else the machine does: what is without a flood comes before and behind it.
      const later = await stretch()
      const calm = Math.max(quiet.p99, later.p99)
      trial.must(
        flooded.p99 <= FACTOR * calm,
        `p99 went from ${quiet.p99} ms and ${later.p99} ms to ${flooded.p99} ms`,
      )
      await flooder.stop()
      const gone = async () => {
        const { clients, connections, handles } = await server.measure()
        return [clients, connections, handles.TCPSocketWrap].every((it) => it === CLIENTS)
      }
      await until('the strangers to be gone', gone)
      const { topics } = await server.measure()
      trial.must(topics <= before.topics, `${topics} broker subscriptions, not ${before.topics}`)
      const counts = Object.entries(report.statuses).map(([code, n]) => `${whole(n)} × ${code}`)
      return {
        promise: 'A flood of connections is refused, and those who are there hardly notice',
        how:
          `${whole(RATE)} new connections/s for ${SECONDS} s through Express and autoClient, ` +
          `half from one address, half from a thousand; maxConnectionsPerAddress ` +
          `${PER_ADDRESS}, maxClients ${whole(CLIENTS + ROOM)}, server.maxConnections ` +
          `${whole(CLIENTS + ROOM + SPARE)}; ${whole(CLIENTS)} streams get ${perSecond} messages/s`,
        figure:
          `${whole(Math.round(rate))} connections/s, ${whole(report.closed)} closed at the door, answers ` +
          `${counts.join(', ')}, all refusals with Retry-After; p99 of the streams ${flooded.p99.toFixed(1)} ms, against ` +
          `${quiet.p99.toFixed(1)} ms before and ${later.p99.toFixed(1)} ms after; ` +
          `${flooded.ended} of them ended`,
        problems: trial.problems,
      }
    } finally {
      await flooder.stop()
    }
  })
}
