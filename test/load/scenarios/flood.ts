import type { Row } from '../../faults/row.js'
import { Trial, whole } from '../../faults/row.js'
import { until } from '../../support/until.js'
import { Flooder } from '../flood.js'
import { allGreeted, EACH, onStage } from '../stage.js'

const CLIENTS = 1_000
const RATE = 5_000
const SECONDS = 10
/** Strangers that the server takes beside those who are there. */
const ROOM = 50
/** Sockets beside those of clients, for requests that are being answered. */
const SPARE = 14
const PER_ADDRESS = 20
const BYTES = 200
/** How much later the messages of those who are there may come. */
const FACTOR = 2
/** Messages that go to all streams, and others that go to one in a hundred. */
const TO_ALL = { perSecond: 20, topics: EACH }
const TO_FEW = { perSecond: 100, topics: CLIENTS }

const options = { maxConnectionsPerAddress: PER_ADDRESS, maxClients: CLIENTS + ROOM }

/** Strangers connect by the thousand, and those who are there hardly notice. */
export async function flood(): Promise<Row> {
  const trial = new Trial()
  const flooder = await Flooder.build()
  try {
    const all = await besiege(flooder, TO_ALL, trial)
    const few = await besiege(flooder, TO_FEW, trial)
    // Whatever else the machine does: what is without a flood comes before and behind it.
    for (const { before, during, after } of [all, few]) {
      trial.must(
        during <= FACTOR * Math.max(before, after),
        `p99 went from ${before} ms and ${after} ms to ${during} ms`,
      )
    }
    const times = ({ before, during, after }: Siege) =>
      `${during.toFixed(1)} ms, against ${before.toFixed(1)} ms before and ${after.toFixed(1)} ms after`
    return {
      promise: 'A flood of connections is refused, and those who are there hardly notice',
      how:
        `${whole(RATE)} new connections/s for ${SECONDS} s through Express and autoClient, ` +
        `half from one address, half from a thousand; maxConnectionsPerAddress ` +
        `${PER_ADDRESS}, maxClients ${whole(CLIENTS + ROOM)}, server.maxConnections ` +
        `${whole(CLIENTS + ROOM + SPARE)}; ${whole(CLIENTS)} streams get ${TO_ALL.perSecond} messages/s, ` +
        `each to all of them; then again, with ${TO_FEW.perSecond} messages/s to ${EACH} of them each`,
      figure:
        `${whole(all.rate)} connections/s, ${all.answers}, all refusals with Retry-After; p99 of ` +
        `messages to all ${times(all)}; of those to ${EACH} streams ${times(few)}; no stream ended`,
      problems: trial.problems,
    }
  } finally {
    await flooder.stop()
  }
}

/** Delivery times in milliseconds, the p99 of each time. */
interface Siege {
  before: number
  during: number
  after: number
  /** Connections a second, and what became of them. */
  rate: number
  answers: string
}

async function besiege(
  flooder: Flooder,
  { perSecond, topics }: typeof TO_ALL,
  trial: Trial,
): Promise<Siege> {
  const settings = { topics, options, sockets: CLIENTS + ROOM + SPARE }
  return onStage(settings, async ({ server, crowd }) => {
    crowd.tell({ do: 'open', from: 0, to: CLIENTS })
    await allGreeted(crowd, CLIENTS)
    const stretch = async () => {
      await server.publish(SECONDS * perSecond, BYTES, perSecond)
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
    const later = await stretch()
    await flooder.leave()
    const gone = async () => {
      const { clients, connections, handles } = await server.measure()
      return [clients, connections, handles.TCPSocketWrap].every((it) => it === CLIENTS)
    }
    await until('the strangers to be gone', gone)
    const { topics: open } = await server.measure()
    trial.must(open <= before.topics, `${open} broker subscriptions, not ${before.topics}`)
    const counts = Object.entries(report.statuses).map(([code, n]) => `${whole(n)} × ${code}`)
    return {
      ...{ before: quiet.p99, during: flooded.p99, after: later.p99, rate: Math.round(rate) },
      answers: `${whole(report.closed)} closed at the door, answers ${counts.join(', ')}`,
    }
  })
}
