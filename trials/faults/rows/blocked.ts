import { until } from '../../../test/support/until.js'
import { startBroker } from '../brokers.js'
import type { Context } from '../context.js'
import type { Row } from '../../kit/row.js'
import { Trial, wholeness } from '../../kit/row.js'
import { SingleServerStage } from '../single-server-stage.js'

const BLOCK = 5_000
const SLOW = 2_000
const READERS = 5

/** The application blocks the event loop for longer than a slow client is waited for. */
export async function blocked({ seed }: Context): Promise<Row> {
  const trial = new Trial()
  const stage = await SingleServerStage.set({
    name: 'blocked',
    broker: await startBroker('memory'),
    seed,
    clients: 20,
    topics: 8,
    each: 4,
    rate: 200,
    config: { options: { slowClientTimeout: SLOW, retry: { min: 50, max: 200 } } },
  })
  try {
    stage.publishOn()
    const readers = stage.clients.slice(0, READERS)
    for (const client of readers) client.read(false)
    // What the kernel and the proxy hold is filled before the server has to wait.
    const full = async () => {
      await stage.publish(stage.topics, 100_000)
      return (await stage.server.mustAsk({ do: 'stats' })).full >= READERS
    }
    await until('the connections to be full', full, 60_000)
    const blocking = stage.server.mustAsk({ do: 'block', milliseconds: BLOCK })
    for (const client of readers) client.read(true)
    await blocking
    await stage.settle()
    const { stats } = await stage.server.mustAsk({ do: 'stats' })
    trial.must(stats.disconnects.slow === 0, `${stats.disconnects.slow} were dropped as slow`)
    trial.must(stats.disconnects.dropped === 0, `${stats.disconnects.dropped} were dropped`)
    trial.mustBeWhole(stage.ledger)
    return {
      promise: 'Nobody is dropped as slow because the server itself stood still',
      how:
        `the application blocks the event loop for ${BLOCK / 1_000} s, slowClientTimeout is ` +
        `${SLOW / 1_000} s, and ${READERS} of ${stage.clients.length} connections are full when ` +
        'it begins',
      figure: `${stats.disconnects.slow} dropped; ${wholeness(stage.ledger)}`,
      problems: trial.problems,
    }
  } finally {
    await stage.strike()
  }
}
