import { until } from '../../../test/support/until.js'
import { startBroker } from '../brokers.js'
import type { Context } from '../context.js'
import type { Row } from '../../kit/row.js'
import { seconds, Trial, wholeness } from '../../kit/row.js'
import { SingleServerStage } from '../single-server-stage.js'

const OVER = 2_000
/** Beyond the drain: a goodbye's own time, and Node's end. */
const GRACE = 6_000
const options = { retry: { min: 50, max: 200 } }

async function stageOf(name: string, seed: number, clients: number): Promise<SingleServerStage> {
  return SingleServerStage.set({
    name,
    broker: await startBroker('memory'),
    seed,
    clients,
    topics: 20,
    each: 5,
    rate: 400,
    config: { options, drainOver: OVER },
  })
}

/** SIGTERM under load: the goodbyes are spread, and the process ends by itself. */
export async function sigterm({ seed, short }: Context): Promise<Row> {
  const trial = new Trial()
  const stage = await stageOf('drained', seed, short ? 50 : 200)
  try {
    stage.publishOn()
    await until('messages to flow', () => stage.ledger.received > 1_000)
    const began = performance.now()
    stage.server.signal('SIGTERM')
    const code = await stage.server.end(OVER + GRACE + 10_000)
    const took = performance.now() - began
    const goodbyes = stage.clients.map((client) => client.goodbyeAt - began)
    const quarters = [0, 0, 0, 0]
    for (const at of goodbyes) quarters[Math.min(3, Math.floor((4 * at) / OVER))]!++
    const { stderr } = stage.server
    trial.must(code === 0, `the exit code was ${code}: ${stderr}`)
    trial.must(stderr === '', `the server complained: ${stderr.slice(0, 500)}`)
    trial.must(took < OVER + GRACE, `it took ${seconds(took)}`)
    const without = stage.clients.filter((client) => client.goodbyes === 0).length
    trial.must(without === 0, `${without} clients got no goodbye`)
    const most = Math.max(...quarters)
    trial.must(most <= stage.clients.length / 2, `the goodbyes were bunched: ${quarters.join()}`)
    await stage.replaceServer()
    await stage.settle()
    trial.mustBeWhole(stage.ledger)
    return {
      promise: 'A server that is told to end says goodbye to all, spread out, and ends by itself',
      how:
        `SIGTERM with ${stage.clients.length} clients and 400 messages/s, drain over ` +
        `${OVER / 1_000} s; then another server in its place`,
      figure:
        `exit code ${code} after ${seconds(took)}; goodbyes in each quarter of the time ` +
        `${quarters.join(', ')}; no write after an end, nothing on stderr; ${wholeness(stage.ledger)}`,
      problems: trial.problems,
    }
  } finally {
    await stage.strike()
  }
}

/** SIGKILL: the next server does not know the positions, and says so. */
export async function sigkill({ seed, short }: Context): Promise<Row> {
  const trial = new Trial()
  const stage = await stageOf('killed', seed, short ? 30 : 100)
  try {
    stage.publishOn()
    await until('messages to flow', () => stage.ledger.received > 1_000)
    const killed = performance.now()
    await stage.server.kill()
    await stage.replaceServer()
    const up = performance.now()
    await stage.connected()
    const back = performance.now()
    await stage.settle()
    const auto = stage.clients.filter(({ settings }) => settings.kind === 'auto')
    const explicit = stage.clients.filter(({ settings }) => settings.kind === 'explicit')
    const untold = auto.filter(({ losses, settings }) => losses < settings.topics.length)
    trial.must(untold.length === 0, `${untold.length} automatic clients were not told`)
    const renewed = explicit.filter(({ renewals }) => renewals === 1).length
    trial.must(renewed === explicit.length, `${renewed} of ${explicit.length} got a new id`)
    trial.mustBeWhole(stage.ledger)
    return {
      promise: 'After a crash every client is told, and has new state at once',
      how: `SIGKILL with ${stage.clients.length} clients, then another server in its place`,
      figure:
        `${auto.length} of ${auto.length} automatic clients told messages-lost for each topic, ` +
        `${renewed} of ${explicit.length} others answered 401; all connected ` +
        `${seconds(back - up)} after the new server listened, ${seconds(back - killed)} after ` +
        `the kill; ${wholeness(stage.ledger)}`,
      problems: trial.problems,
    }
  } finally {
    await stage.strike()
  }
}
