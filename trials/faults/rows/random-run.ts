import { createHash } from 'node:crypto'
import { until } from '../../../test/support/until.js'
import type { Broker } from '../brokers.js'
import type { Context } from '../context.js'
import type { Row } from '../../kit/row.js'
import { seconds, Trial, whole, wholeness } from '../../kit/row.js'
import { CLIENT_FAULTS, scheduleOf } from '../schedule.js'
import type { Fault } from '../schedule.js'
import { SingleServerStage } from '../single-server-stage.js'
import { Wreaker } from '../wreak.js'

const TOPICS = 200
const EACH = 5

/** Everything at random, on each broker at once. */
export async function randomRun(context: Context, brokers: readonly Broker[]): Promise<Row[]> {
  const { seed, duration, clients, say } = context
  const each = Math.ceil(clients / brokers.length)
  const kinds = brokers.map(({ kind }) => kind)
  const faults = scheduleOf(seed, duration, kinds, each)
  const print = createHash('sha256').update(JSON.stringify(faults)).digest('hex').slice(0, 8)
  say(`schedule ${print}: ${faults.length} entries`)
  const stages = await Promise.all(
    brokers.map((broker, index) =>
      SingleServerStage.set({
        name: broker.kind,
        broker,
        seed: seed + index,
        clients: each,
        topics: TOPICS,
        each: EACH,
        rate: 400,
        large: 30_000,
        config: {
          options: {
            clientTTL: 60_000,
            slowClientTimeout: 3_000,
            maxConnectionAge: 15_000,
            heartbeatInterval: 2_000,
            // Small enough that who is away for long does lose something, and must be told.
            history: { maxBytes: 4 * 1024 * 1024 },
            retry: { min: 50, max: 500 },
          },
        },
      }),
    ),
  )
  try {
    return await Promise.all(
      stages.map((stage) => {
        const mine = faults.filter(({ broker }) => broker === stage.settings.broker.kind)
        return runOne(stage, mine, context, print)
      }),
    )
  } finally {
    await Promise.all(stages.map((stage) => stage.strike()))
  }
}

async function runOne(
  stage: SingleServerStage,
  faults: Fault[],
  { duration, seed }: Context,
  print: string,
): Promise<Row> {
  const trial = new Trial()
  const wreaker = new Wreaker(stage)
  const ends = performance.now() + duration
  stage.publishOn()
  wreaker.begin(faults)
  await until('the end of the run', () => performance.now() > ends, duration + 5_000)
  await wreaker.end()
  await stage.settle()
  const { ledger, settings } = stage
  trial.must(!stage.server.over, 'the server has died')
  const complaints = stage.complaints + stage.server.stderr
  trial.must(complaints === '', `a server complained: ${complaints.slice(0, 500)}`)
  trial.mustBeWhole(ledger)
  const counts = [...wreaker.done].map(([fault, count]) => `${fault} ${count}`).sort()
  const single = [...wreaker.done].filter(([fault]) => CLIENT_FAULTS.some((it) => it === fault))
  const onClients = single.reduce((sum, [, count]) => sum + count, 0)
  return {
    promise:
      'Every message once and in order, or messages-lost in its place: ' + settings.broker.kind,
    how:
      `seed ${seed}, schedule ${print}, ${duration / 1_000} s, ${settings.clients} clients × ` +
      `${EACH} of ${TOPICS} topics, ${settings.rate} messages/s; ${counts.join(', ')}`,
    figure:
      `${wholeness(ledger)}; ${whole(stage.published)} published, ${whole(onClients)} faults on ` +
      `connections, ${whole(ledger.told)} times told of ${whole(ledger.missing)} messages missing; all ` +
      `settled ${seconds(stage.settled)} after the last fault`,
    problems: trial.problems,
  }
}
