import { median } from '../../../bench/samples.js'
import type { ConnectionRate } from '../../../src/index.js'
import type { Row } from '../../kit/row.js'
import { Trial, whole } from '../../kit/row.js'
import { until } from '../../../test/support/until.js'
import type { FloodReport } from '../flood.js'
import { Flooder } from '../flood.js'
import { EACH, onStage } from '../load-stage.js'

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
/** How many connections are let in at all. */
const LIMIT: ConnectionRate = { perSecond: 100, burst: 10 }
/** Messages that go to all streams, and others that go to one in a hundred. */
const TO_ALL = { perSecond: 20, topics: EACH }
const TO_FEW = { perSecond: 100, topics: CLIENTS }
/** How often it is tried, in turn with times without a flood. */
const ROUNDS = 7

const options = { maxConnectionsPerAddress: PER_ADDRESS, maxClients: CLIENTS + ROOM }

/** Strangers connect by the thousand, and those who are there hardly notice. */
export async function flood(): Promise<Row> {
  const trial = new Trial()
  const flooder = await Flooder.build()
  try {
    const all = await besiege(flooder, TO_ALL, LIMIT, trial)
    const few = await besiege(flooder, TO_FEW, LIMIT, trial)
    const unlimited = await besiege(flooder, TO_FEW, undefined, trial)
    for (const { calm, flooded } of [all, few]) {
      trial.must(flooded <= FACTOR * calm, `p99 went from ${calm} ms to ${flooded} ms`)
    }
    const times = ({ calm, flooded }: Siege) =>
      `${flooded.toFixed(2)} ms, against ${calm.toFixed(2)} ms without a flood`
    return {
      promise: 'A flood of connections is refused, and those who are there hardly notice',
      how:
        `${whole(RATE)} new connections/s for ${SECONDS} s to Express and autoClient, ` +
        `half from one address, half from a thousand; limitConnectionRate ${LIMIT.perSecond}/s, ` +
        `maxConnectionsPerAddress ${PER_ADDRESS}, maxClients ${whole(CLIENTS + ROOM)}, ` +
        `server.maxConnections ${whole(CLIENTS + ROOM + SPARE)}; ${whole(CLIENTS)} streams get ` +
        `${TO_ALL.perSecond} messages/s, each to all of them; then again, with ` +
        `${TO_FEW.perSecond} messages/s to ${EACH} of them each; p99 of ${SECONDS} s each, ` +
        `with and without a flood in turn, the median of ${ROUNDS}`,
      figure:
        `${whole(few.rate)} connections/s, ${few.answers}, all refusals with Retry-After; p99 of ` +
        `messages to all ${times(all)}; of those to ${EACH} streams ${times(few)}; no stream ` +
        `ended. Without limitConnectionRate: ${unlimited.answers}; p99 of messages to ${EACH} ` +
        `streams ${times(unlimited)}`,
      problems: trial.problems,
    }
  } finally {
    await flooder.stop()
  }
}

/** The median p99 of delivery in milliseconds, with and without a flood. */
interface Siege {
  calm: number
  flooded: number
  /** Connections a second, and what became of them. */
  rate: number
  answers: string
}

async function besiege(
  flooder: Flooder,
  { perSecond, topics }: typeof TO_ALL,
  limit: ConnectionRate | undefined,
  trial: Trial,
): Promise<Siege> {
  const settings = { topics, options, sockets: CLIENTS + ROOM + SPARE }
  return onStage(settings, async ({ server, crowd }) => {
    await crowd.tell({ do: 'open', from: 0, to: CLIENTS })
    await crowd.allGreeted(CLIENTS)
    const stretch = async () => {
      await server.publish(SECONDS * perSecond, BYTES, perSecond)
      const taken = await crowd.take()
      trial.must(taken.ended === 0, `${taken.ended} streams ended`)
      trial.must(taken.lost === 0, `${taken.lost} times messages-lost`)
      return taken.p99
    }
    // The first time is for the machine to warm up, also to strangers.
    const order = { port: server.port, perSecond: RATE, seconds: SECONDS }
    await Promise.all([stretch(), flooder.flood(order)])
    if (limit !== undefined) await server.limit(limit)
    await stretch()
    const before = await server.measure()
    const calm: number[] = []
    const flooded: number[] = []
    const reports: FloodReport[] = []
    for (let round = 0; round < ROUNDS; round++) {
      calm.push(await stretch())
      const [p99, report] = await Promise.all([stretch(), flooder.flood(order)])
      flooded.push(p99)
      reports.push(report)
    }
    await flooder.leave()
    const gone = async () => {
      const { clients, connections, handles } = await server.measure()
      return [clients, connections, handles.TCPSocketWrap].every((it) => it === CLIENTS)
    }
    await until('the strangers to be gone', gone)
    const { topics: open } = await server.measure()
    trial.must(open <= before.topics, `${open} broker subscriptions, not ${before.topics}`)
    return { calm: median(calm), flooded: median(flooded), ...judge(reports, trial) }
  })
}

/** What the strangers got, whom nobody may have let wait or told nonsense. */
function judge(reports: FloodReport[], trial: Trial): Pick<Siege, 'rate' | 'answers'> {
  const sum = (of: (report: FloodReport) => number) =>
    reports.reduce((so, report) => so + of(report), 0)
  const rate = sum(({ opened }) => opened) / sum(({ milliseconds }) => milliseconds / 1_000)
  trial.must(rate >= RATE * 0.99, `only ${Math.round(rate)} connections a second were made`)
  const counts = new Map<string, number>()
  for (const [status, count] of reports.flatMap(({ statuses }) => Object.entries(statuses))) {
    counts.set(status, (counts.get(status) ?? 0) + count)
  }
  const strange = [...counts.keys()].filter((it) => !/^(200|429|503)$/.test(it))
  trial.must(strange.length === 0, `some were answered with ${strange.join()}`)
  for (const status of ['429', '503']) {
    trial.must(counts.has(status), `nobody was answered with ${status}`)
  }
  const bare = sum(({ withoutRetryAfter }) => withoutRetryAfter)
  trial.must(bare === 0, `${bare} without Retry-After`)
  const unanswered = sum((report) => report.unanswered)
  trial.must(unanswered === 0, `${unanswered} were left waiting`)
  const answers = [...counts].map(([code, count]) => `${whole(count)} × ${code}`)
  return {
    rate: Math.round(rate),
    answers: `${whole(sum(({ closed }) => closed))} closed at the door, answers ${answers.join(', ')}`,
  }
}
