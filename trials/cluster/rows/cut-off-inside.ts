/** The part of the cluster run that runs inside a network namespace: see rows/cut-off.ts. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { callJson } from '../../kit/call.js'
import type { CheckingClient } from '../../kit/checking-client.js'
import type { Row, Trial } from '../../kit/row.js'
import { seconds } from '../../kit/row.js'
import { until } from '../../../test/support/until.js'
import { figureOf, mustHold, onFleet, triedWith } from '../on-fleet.js'
import { redisEngine } from '../engine-redis.js'
import type { Fleet } from '../fleet.js'
import type { Inside } from './cut-off.js'
import { flowing } from './server-ends.js'
import { Served } from '../served.js'

const run = promisify(execFile)
const inside = JSON.parse(process.argv[2] ?? '{}') as Inside
/** After how long without its directory a server ends its streams, in milliseconds. */
const OUTAGE = 5_000
/** What it takes the server to notice, and its timer to fire, beyond that. */
const NOTICE = 4_000

const link = (device: string, state: 'up' | 'down') =>
  run('ip', ['link', 'set', device, state]).then(() => undefined)

const wait = (milliseconds: number) => {
  const end = performance.now() + milliseconds
  return until('that time', () => performance.now() > end, 2 * milliseconds + 1_000)
}

/** Subscribes a client to a topic of its own, as often as it takes. @returns how often */
async function subscribe(fleet: Fleet, client: CheckingClient, topic: string): Promise<number> {
  let tries = 0
  const body = { client_id: client.id, add: [topic] }
  // Nothing of it is published before the answer, so that everything of it is due.
  fleet.ledger.join(client.settings.name, topic)
  await until(
    `the subscription of ${client.settings.name}`,
    async () => {
      tries++
      const url = `${client.settings.origin()}/subscriptions`
      const answer = await callJson(url, 'POST', body).catch(() => undefined)
      return answer?.status === 200 && answer.body.refused.length === 0
    },
    30_000,
  )
  return tries
}

async function act(fleet: Fleet, trial: Trial): Promise<Row> {
  const served = new Served(fleet)
  fleet.publishOn()
  await flowing(fleet)
  const theirs = await fleet.remembered(0)
  const explicit = fleet.clients.filter(({ id }) => id !== undefined)
  const mine = explicit.filter(({ id }) => theirs.has(id!))
  served.begin()
  fleet.watchHeartbeats()

  await link(inside.engineCable, 'down')
  const cut = performance.now()
  // Half of its clients give their connection up, and it does not learn of that.
  for (const client of mine.slice(0, mine.length / 2)) {
    fleet.proxy.of(client.localPort)?.vanish()
    client.comeBack()
  }
  const added = explicit.slice(0, 40).map((client, index) => ({ client, topic: `late.${index}` }))
  const counted = await Promise.all(
    added.map(({ client, topic }) => subscribe(fleet, client, topic)),
  )
  for (const { topic } of added) fleet.topics.push(topic)
  await wait(Math.max(0, cut + OUTAGE + NOTICE - performance.now()))
  const isolated = (await fleet.ask(0, { do: 'report' }))?.serving.filter((id) => theirs.has(id))
  trial.must(isolated?.length === 0, `${isolated?.length} streams were open after the bound`)

  await link(inside.clientCable, 'down')
  await wait(inside.short ? 2_000 : 6_000)
  await link(inside.engineCable, 'up')
  await wait(2_000)
  await link(inside.clientCable, 'up')
  await fleet.settle()
  const twice = await served.end()
  trial.must(twice === 0, `${twice} clients are served twice`)
  trial.must(served.longest <= OUTAGE + NOTICE, `one for ${seconds(served.longest)}`)
  // What a server that is cut off from its broker could not read is in the log.
  mustHold(fleet, trial)
  const again = counted.reduce((sum, tries) => sum + tries - 1, 0)
  return {
    promise:
      'A server cut off from the engine, then from the clients, serves nobody beyond the bound',
    how:
      `${triedWith(fleet, fleet.clients.length)}; network namespaces, the first server's cable to ` +
      `the engine is pulled, then the one to the balancer, maxDirectoryOutage ${OUTAGE / 1_000} s; ` +
      `${added.length} clients subscribe meanwhile`,
    figure:
      `${theirs.size} clients were with it; served by two for ${seconds(served.longest)} at the ` +
      `longest; every subscription took effect, after ${again} refusals; ${figureOf(fleet)}`,
    problems: trial.problems,
  }
}

const engine = await redisEngine({
  config: `bind 127.0.0.1 ${inside.engineAddress}\nprotected-mode no`,
})
try {
  const { seed, short, clients, serverNamespace, engineAddress, serverAddress } = inside
  const context = {
    ...{ seed, short, clients },
    engine: () => Promise.resolve(engine),
    say: () => undefined,
  }
  const name = 'cut'
  const far = JSON.stringify([engine.driver(name), engine.directory(name)])
  const [driver, directory] = JSON.parse(far.replaceAll('127.0.0.1', engineAddress)) as [
    ReturnType<typeof engine.driver>,
    ReturnType<typeof engine.directory>,
  ]
  const settings = {
    name,
    engine,
    options: { maxDirectoryOutage: OUTAGE },
    launch: (index: number) =>
      index > 0
        ? {}
        : {
            host: serverAddress,
            launch: { prefix: ['ip', 'netns', 'exec', serverNamespace] },
            config: { driver, directory },
          },
  }
  const row = await onFleet(context, settings, act)
  process.stdout.write(JSON.stringify(row))
} finally {
  await engine.stop()
}
// Left to end by itself, Node 20 may spin for ever over a pipe of tsx's compiler that has ended.
process.exit()
