import { median } from '../../../bench/samples.js'
import type { Row } from '../../kit/row.js'
import { mebibytes, Trial, whole } from '../../kit/row.js'
import { onStage } from '../load-stage.js'

const MESSAGES = 100_000
const BYTES = 1_000
const RATE = 500
const STEP = RATE * 5
const BUDGET = 64 * 1024 * 1024
/** Beyond the history: what the run itself leaves for the garbage collection, for one. */
const CONSTANT = 64 * 1024 * 1024
/** How much later the others' messages may come. */
const FACTOR = 1.5

const options = {
  history: { maxBytes: BUDGET },
  // They stay: what a connection that takes nothing costs is what this is about.
  slowClientTimeout: 3_600_000,
}

/** A fifth of the clients never reads, while much is published. */
export async function neverRead(clients: number, prefix: readonly string[]): Promise<Row[]> {
  const trial = new Trial()
  const slowed = new Trial()
  const idle = Math.round(clients / 5)
  return onStage(
    { options },
    async ({ server, crowd }) => {
      await crowd.tell({ do: 'open', from: 0, to: clients })
      await crowd.allGreeted(clients)
      await server.publish(2 * STEP, BYTES, RATE)
      await crowd.take()
      const before = await server.measure()
      const p99s: number[] = []
      let peak = 0
      /** The others' delivery times are those of pieces, so that one bad moment is not all. */
      const stretch = async (messages: number) => {
        p99s.length = 0
        for (let sent = 0; sent < messages; sent += STEP) {
          await server.publish(STEP, BYTES, RATE)
          peak = Math.max(peak, (await server.measure({ collect: false })).rss)
          p99s.push((await crowd.take()).p99)
        }
        return median(p99s)
      }
      const without = await stretch(MESSAGES / 5)
      await crowd.tell({ do: 'stop reading', from: clients - idle, to: clients })
      const with_ = await stretch(MESSAGES)
      const after = await server.measure({ collect: false })
      const growth = peak - before.rss
      trial.must(growth <= BUDGET + CONSTANT, `resident memory grew by ${mebibytes(growth)}`)
      trial.must(after.connections === clients, `${after.connections} of ${clients} are there`)
      trial.must(after.full === idle, `${after.full} of ${idle} connections are full`)
      slowed.must(with_ <= FACTOR * without, `p99 went from ${without} ms to ${with_} ms`)
      const how =
        `${whole(idle)} of ${whole(clients)} clients take nothing from their sockets while ` +
        `${whole(MESSAGES)} messages of 1 kB are published, ${RATE}/s`
      return [
        {
          promise: 'Clients that never read cost no memory of their own',
          how,
          figure:
            `resident memory grew by ${mebibytes(growth)} at the most, of which the history ` +
            `has ${mebibytes(after.historyBytes - before.historyBytes)}; ${whole(after.full)} connections full in the end`,
          problems: trial.problems,
        },
        {
          promise: 'Clients that never read slow nobody else down',
          how: 'the same; p99 of 5 s each, the median of them',
          figure: `p99 ${with_.toFixed(1)} ms, against ${without.toFixed(1)} ms when all were reading`,
          problems: slowed.problems,
        },
      ]
    },
    prefix,
  )
}
