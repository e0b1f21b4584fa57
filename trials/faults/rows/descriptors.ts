import { until } from '../../../test/support/until.js'
import { startBroker } from '../brokers.js'
import type { Context } from '../context.js'
import type { Row } from '../../kit/row.js'
import { Trial, whole, wholeness } from '../../kit/row.js'
import { SingleServerStage } from '../single-server-stage.js'

const LIMIT = 256
const FIRST = 100
const MORE = 250

/** More connections than the process has file descriptors for. */
export async function descriptors({ seed }: Context): Promise<Row> {
  const trial = new Trial()
  const stage = await SingleServerStage.set({
    name: 'descriptors',
    broker: await startBroker('memory'),
    seed,
    clients: FIRST,
    topics: 20,
    each: 5,
    rate: 200,
    config: { options: { retry: { min: 50, max: 200 } } },
    launch: { prefix: ['sh', '-c', `ulimit -n ${LIMIT}; exec "$@"`, 'sh'] },
  })
  try {
    stage.publishOn()
    const first = [...stage.clients]
    const dropsBefore = first.map(({ connects }) => connects)
    const more = Array.from({ length: MORE }, () => stage.addClient('auto', true))
    for (const client of more) client.begin()
    const inside = () => more.filter((client) => client.connected).length
    let steady = 0
    let before = -1
    await until(
      'the server to be full',
      async () => {
        const { stats } = await stage.server.mustAsk({ do: 'stats' })
        steady = stats.connections === before ? steady + 1 : 0
        before = stats.connections
        return stats.connections > FIRST && steady >= 20
      },
      60_000,
    )
    const held = before
    const refused = more.length - inside()
    trial.must(held < LIMIT, `${held} connections with ${LIMIT} file descriptors`)
    trial.must(refused > 0, 'nobody was refused')
    // The streams that were there go on while others are refused.
    const mark = new Map(stage.newest)
    await until('the first to go on', async () => {
      await stage.publish(stage.topics)
      return first.every((client) => stage.ledger.has(client.settings.name, mark))
    })
    const dropped = first.filter(({ connects }, index) => connects !== dropsBefore[index]).length
    trial.must(dropped === 0, `${dropped} of the first streams were dropped`)
    const leaving = more.filter((client) => client.connected)
    for (const client of leaving) stage.dismiss(client)
    const began = performance.now()
    await until('those who were refused to get in', () => stage.allConnected, 30_000)
    const took = performance.now() - began
    await stage.settle()
    trial.must(!stage.server.over, 'the server has died')
    trial.must(stage.server.stderr === '', `it complained: ${stage.server.stderr.slice(0, 300)}`)
    trial.mustBeWhole(stage.ledger)
    return {
      promise: 'Without file descriptors new connections are refused, and nobody else notices',
      how:
        `ulimit -n ${LIMIT}; ${FIRST} clients connected, ${MORE} more come, then those of them ` +
        'who got in leave',
      figure:
        `${held} held, ${refused} refused, ${dropped} of the first ${FIRST} dropped; all others ` +
        `in ${whole(Math.round(took))} ms after some had left; ${wholeness(stage.ledger)}`,
      problems: trial.problems,
    }
  } finally {
    await stage.strike()
  }
}
