import { performance } from 'node:perf_hooks'
import { until } from '../../../test/support/until.js'
import type { Row } from '../../kit/row.js'
import { Trial, whole } from '../../kit/row.js'
import type { ServerReport } from '../counting-server-messages.js'
import { EACH, onStage } from '../load-stage.js'

const CLIENTS = 1_000
/** So many that most are wanted by nobody, at any time. */
const TOPICS = 20_000
/** Short enough that thousands of clients and all frames come and go. */
const TTL = 2_000
const LINGER = 1_000
const AGE = 5_000
/** How much larger the heap may be in the end. */
const GROWTH = 0.05

const options = {
  clientTTL: TTL,
  topicLinger: LINGER,
  history: { maxAge: AGE },
  heartbeatInterval: 1_000,
}

/** Clients come, subscribe, drop, come back and expire, for a long time. */
export async function soak(minutes: number, say: (line: string) => void): Promise<Row> {
  const trial = new Trial()
  return onStage({ topics: TOPICS, options }, async ({ server, crowd }) => {
    const began = performance.now()
    const passed = () => performance.now() - began
    const duration = minutes * 60_000
    const settles = Math.min(2, minutes / 4) * 60_000
    let next = CLIENTS
    await crowd.tell({ do: 'open', from: 0, to: CLIENTS })
    await crowd.allGreeted(CLIENTS)

    /** A tenth goes for good, another one is cut off and comes back, as many new ones come. */
    const churn = async () => {
      const share = CLIENTS / 10
      await crowd.tell({ do: 'drop', count: share })
      await crowd.tell({ do: 'open', from: next, to: next + share })
      next += share
      await server.publish(200, 200, 400)
      await server.churn(share)
      await crowd.allGreeted(CLIENTS)
    }
    /** What is there when nothing happens and everybody who is gone is forgotten. */
    const rest = async (): Promise<ServerReport> => {
      const isQuiet = ({ clients, topics, wantedTopics, historyFrames, handles }: ServerReport) =>
        clients === CLIENTS &&
        topics === wantedTopics &&
        historyFrames === 0 &&
        handles.TCPSocketWrap === CLIENTS
      const quiet = async () => isQuiet(await server.measure({ collect: false }))
      // What does not come about is said by the checks below.
      await until('those who are gone to be forgotten', quiet, 30_000).catch(() => undefined)
      return server.measure()
    }

    while (passed() < settles) await churn()
    const first = await rest()
    let said = passed()
    while (passed() < duration) {
      await churn()
      if (passed() < said + 60_000) continue
      said = passed()
      const { heap, clients, topics, handles } = await server.measure()
      const now = JSON.stringify({ heap, clients, topics, handles })
      say(`${Math.round(said / 60_000)} min: ${now}`)
    }
    const last = await rest()

    const growth = last.heap / first.heap - 1
    const percent = `${growth < 0 ? '−' : '+'}${Math.abs(growth * 100).toFixed(1)} %`
    trial.must(growth <= GROWTH, `the heap grew by ${percent}`)
    const { timers, appointments, topics, wantedTopics } = last
    const { TCPSocketWrap: sockets = 0 } = last.handles
    trial.must(sockets === CLIENTS, `there are ${sockets} sockets for ${CLIENTS} clients`)
    trial.must(topics === wantedTopics, `${topics} broker subscriptions, ${wantedTopics} wanted`)
    trial.must(last.clients === CLIENTS, `${last.clients} clients are remembered, not ${CLIENTS}`)
    trial.must(timers <= 1, `there are ${timers} timers of Node's`)
    // Nothing else is waited for than the next heartbeat of each.
    trial.must(appointments === CLIENTS, `${appointments} appointments for ${CLIENTS} clients`)
    const others = (report: ServerReport) =>
      JSON.stringify({ ...report.handles, TCPSocketWrap: undefined })
    trial.must(others(last) === others(first), `handles: ${others(first)}, later ${others(last)}`)
    return {
      promise: 'Nothing piles up',
      how:
        `${minutes} minutes in which ${whole(next)} clients came, ${whole(CLIENTS)} at a time, ` +
        `each with ${EACH} of ${whole(TOPICS)} topics: a tenth leaves for good, a tenth is cut ` +
        'off and comes back, a tenth changes a topic, again and again',
      figure:
        `heap after garbage collection ${percent} against that after ` +
        `${Math.round(settles / 1_000)} s; ${whole(sockets)} sockets and as many heartbeats for ` +
        `${whole(CLIENTS)} clients, on ${timers} timer; ${whole(topics)} broker subscriptions ` +
        `for the ${whole(wantedTopics)} topics that they have`,
      problems: trial.problems,
    }
  })
}
