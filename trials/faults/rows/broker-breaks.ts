import { until } from '../../../test/support/until.js'
import type { Broker } from '../brokers.js'
import type { Context } from '../context.js'
import type { Row } from '../../kit/row.js'
import { seconds, Trial, whole, wholeness } from '../../kit/row.js'
import { SingleServerStage } from '../single-server-stage.js'

const NAMES = { memory: 'memory', nats: 'NATS', rabbitmq: 'RabbitMQ' }

/** A broker is killed, stands still, is out of reach: each once, with the time of recovery. */
export async function brokerBreaks(context: Context, broker: Broker): Promise<Row> {
  const { seed, short } = context
  const { process, link } = broker
  if (process === undefined || link === undefined) throw new Error('It has nothing to break.')
  const trial = new Trial()
  const stage = await SingleServerStage.set({
    name: `broken.${broker.kind}`,
    broker,
    seed,
    clients: short ? 30 : 100,
    topics: 20,
    each: 5,
    rate: 200,
    config: { options: { clientTTL: 60_000, retry: { min: 50, max: 200 } } },
  })
  const still = short ? 4_000 : 20_000
  try {
    stage.publishOn()
    await until('messages to flow', () => stage.ledger.received > 500)
    const figures: string[] = []
    for (const [name, harm] of [
      ['SIGKILL and restart', () => process.restart()],
      [`SIGSTOP ${still / 1_000} s`, () => stopped(stage, still)],
      ['link cut', async () => link.cut()],
      ['link silent', async () => link.stall()],
    ] as const) {
      const toldBefore = stage.ledger.told
      await harm()
      const took = await recovery(stage)
      trial.must(took !== undefined, `${name}: no recovery within a minute`)
      trial.must(!stage.server.over, `${name}: the server has died`)
      const told = stage.ledger.told - toldBefore
      figures.push(`${name}: back after ${seconds(took ?? NaN)}, ${whole(told)} times told`)
    }
    await stage.settle()
    trial.must(stage.server.stderr === '', `it complained: ${stage.server.stderr.slice(0, 500)}`)
    trial.mustBeWhole(stage.ledger)
    return {
      promise: `When ${NAMES[broker.kind]} breaks, everybody gets everything or is told`,
      how: `${stage.clients.length} clients × 5 of 20 topics, 200 messages/s; each fault once`,
      figure: `${figures.join('; ')}; ${wholeness(stage.ledger)}`,
      problems: trial.problems,
    }
  } finally {
    await stage.strike()
  }
}

async function stopped({ settings }: SingleServerStage, milliseconds: number): Promise<void> {
  const end = performance.now() + milliseconds
  await settings.broker.process?.freeze()
  try {
    await until('the broker to have stood still', () => performance.now() > end, milliseconds * 2)
  } finally {
    settings.broker.process?.thaw()
  }
}

/** How long until every client has something new of each of its topics. */
async function recovery(stage: SingleServerStage): Promise<number | undefined> {
  const began = performance.now()
  const mark = new Map(stage.newest)
  const fresh = () => stage.clients.every((c) => stage.ledger.has(c.settings.name, mark))
  const all = await until('everybody to get something new', fresh, 60_000).catch(() => false)
  return all ? performance.now() - began : undefined
}
