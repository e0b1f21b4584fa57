import { until } from '../../../test/support/until.js'
import { startBroker } from '../brokers.js'
import type { Context } from '../context.js'
import type { Row } from '../../kit/row.js'
import { mebibytes, seconds, Trial, wholeness } from '../../kit/row.js'
import { SingleServerStage } from '../single-server-stage.js'

const SLOW = 2_000
const AGE = 8_000
const BUDGET = 4 * 1024 * 1024
const MANY = 5

const options = {
  slowClientTimeout: SLOW,
  history: { maxBytes: BUDGET },
  retry: { min: 50, max: 200 },
}

async function onStage<T>(
  seed: number,
  clients: number,
  maxConnectionAge: number,
  play: (stage: SingleServerStage) => Promise<T>,
): Promise<T> {
  const stage = await SingleServerStage.set({
    name: 'peers',
    broker: await startBroker('memory'),
    seed,
    clients,
    topics: 10,
    each: 5,
    rate: 200,
    config: { options: { ...options, maxConnectionAge } },
  })
  try {
    stage.publishOn()
    return await play(stage)
  } finally {
    await stage.strike()
  }
}

/** Peers that stop reading, and peers that are gone without a word. */
export async function connections({ seed, short }: Context): Promise<Row[]> {
  return [
    await onStage(seed, 8, 0, (stage) => stopReading(stage, short ? 40 : 100)),
    await onStage(seed, 30, short ? 4_000 : AGE, (stage) => vanish(stage, short ? 4_000 : AGE)),
  ]
}

async function stopReading(stage: SingleServerStage, megabytes: number): Promise<Row> {
  const trial = new Trial()
  const slow: number[] = []
  const before = await stage.server.mustAsk({ do: 'ends' })
  const readers = stage.clients.slice(0, MANY)
  for (const client of readers) client.read(false)
  let most = 0
  let published = 0
  const look = async () => {
    const { ends, memory } = await stage.server.mustAsk({ do: 'ends' })
    most = Math.max(most, memory.arrayBuffers - before.memory.arrayBuffers)
    slow.push(...ends.filter(({ reason }) => reason === 'slow').map(({ fullFor }) => fullFor))
    return slow.length >= MANY
  }
  await until(
    'those who do not read to be disconnected',
    async () => {
      if (published < megabytes) {
        await stage.publish(stage.topics, 100_000)
        published += stage.topics.length / 10
      }
      return (await look()) && published >= megabytes
    },
    180_000,
  )
  await stage.settle()
  trial.must(slow.length === MANY, `${slow.length} were disconnected as slow, not ${MANY}`)
  const [least, longest] = [Math.min(...slow), Math.max(...slow)]
  // That a connection is full is seen late by a busy server, and never early.
  trial.must(least > SLOW - 500, `one was disconnected after ${seconds(least)} already`)
  trial.must(longest < SLOW + 1_000, `one was disconnected after ${seconds(longest)} only`)
  // The history, what each connection has taken beyond it, and messages that are just coming in.
  const bound = BUDGET + 12 * 1024 * 1024
  trial.must(most < bound, `the buffers grew by ${mebibytes(most)}`)
  trial.mustBeWhole(stage.ledger)
  return {
    promise: 'A peer that stops reading is disconnected, and costs no growing memory until then',
    how:
      `${MANY} of ${stage.clients.length} clients stop reading while ${megabytes} MB are ` +
      `published; slowClientTimeout ${SLOW / 1_000} s, history ${mebibytes(BUDGET)}`,
    figure:
      `disconnected ${seconds(least)} to ${seconds(longest)} after their buffers were full; ` +
      `buffers grew by at most ${mebibytes(most)}; ${wholeness(stage.ledger)}`,
    problems: trial.problems,
  }
}

async function vanish(stage: SingleServerStage, age: number): Promise<Row> {
  const trial = new Trial()
  const gone = stage.clients.slice(MANY, 2 * MANY)
  const returning = stage.clients.slice(2 * MANY, 3 * MANY)
  const pairs = [...gone, ...returning].map((client) => stage.proxy.of(client.localPort))
  trial.must(!pairs.includes(undefined), 'the proxy does not know a connection')
  for (const pair of pairs) pair?.vanish()
  const left = performance.now()
  for (const client of gone) client.stop()
  // Something is written to those who are not there any more.
  await stage.publish(stage.topics)
  let longest = 0
  for (const client of returning) {
    const began = performance.now()
    client.comeBack()
    await until(`${client.settings.name} is served`, () => client.lastHeard > began, 5_000)
    longest = Math.max(longest, performance.now() - began)
  }
  // What the server ends is seen by the proxy, which keeps it to itself.
  const letGo = () => pairs.every((pair) => pair?.far.readableEnded ?? true)
  await until('the server to let go of those who are gone', letGo, age + 10_000)
  const took = performance.now() - left
  trial.must(took < age + 6_000, `it took ${seconds(took)} to let go of those who were gone`)
  trial.must(longest < 1_500, `a return was served only after ${seconds(longest)}`)
  for (const client of gone) client.begin()
  await stage.settle()
  trial.mustBeWhole(stage.ledger)
  return {
    promise: 'A peer that vanished without a word is let go, and served at once if it returns',
    how:
      `${2 * MANY} connections go silent without FIN, ${MANY} of the clients come back; ` +
      `maxConnectionAge ${age / 1_000} s`,
    figure:
      `served ${seconds(longest)} after the return at the latest; all let go after ` +
      `${seconds(took)}; ${wholeness(stage.ledger)}`,
    problems: trial.problems,
  }
}
