import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../src/testing/index.js'
import { unifrost } from '../contenders.js'
import { ONE_TOPIC } from '../node-contender.js'
import type { Running } from '../node-contender.js'
import { median } from '../samples.js'
import type { BenchStage, Workload } from './bench-stage.js'
import { count, deliver, withCrowd } from './bench-stage.js'

const SHAPE = { clients: 2_000, ...ONE_TOPIC }
const MISSED = 100
/** How often everybody comes back in a round, with and without something to replay. */
const PAIRS = 5

interface Return {
  cpuUs: number
  us: number
  loadCpu: number
}

/** All clients drop, miss 100 messages, and come back at once with their `Last-Event-ID`. */
export const reconnect: Workload = {
  name: 'reconnect',
  async run(stage) {
    if ((await stage.available([unifrost])).length === 0) return
    for (let round = 0; round < stage.scale.rounds; round++) {
      if (!stage.hasTime(`reconnect, round ${round + 1}`)) return
      await withCrowd(stage, unifrost, SHAPE, (server) => measure(stage, server, round))
    }
  },
}

async function measure(stage: BenchStage, server: Running, round: number) {
  const order = { messages: MISSED, bytes: 200, burst: 1 }
  await deliver(stage, server, order)
  const live = await deliver(stage, server, order)
  // Coming back without anything to replay is measured too: the difference is the replay.
  await comeBack(stage, server, 0)
  const empty: Return[] = []
  const full: Return[] = []
  for (let i = 0; i < PAIRS; i++) {
    empty.push(await comeBack(stage, server, 0))
    full.push(await comeBack(stage, server, MISSED))
  }
  const cpuWithout = median(empty.map(({ cpuUs }) => cpuUs))
  const cpuWith = median(full.map(({ cpuUs }) => cpuUs))
  const frames = SHAPE.clients * MISSED
  stage.keep({
    workload: 'reconnect',
    scenario: `${count(SHAPE.clients)} clients, ${MISSED} messages to replay`,
    contender: unifrost.name,
    round,
    metrics: {
      liveCpuUs: live.metrics.cpuUs!,
      replayCpuUs: (cpuWith - cpuWithout) / frames,
      replayAllIncluded: cpuWith / frames,
      reconnectCpuUs: cpuWithout / SHAPE.clients,
      perSecond: (SHAPE.clients / median(full.map(({ us }) => us))) * 1e6,
      loadCpu: median(full.map(({ loadCpu }) => loadCpu)),
    },
  })
}

/** Everybody goes, `missed` messages are published, and everybody comes back at once. */
async function comeBack({ load }: BenchStage, server: Running, missed: number): Promise<Return> {
  const position = /.*id: (\S+)/s.exec(await load.peek())?.[1]
  if (position === undefined) throw new Error('The stream named no position.')
  await load.close()
  if (missed > 0) await server.publish({ messages: missed, bytes: 200, burst: 10 })
  await settled(server)
  await load.approach({ ...unifrost.approach, headers: [`Last-Event-ID: ${position}`] })
  await server.mark()
  await load.open(server.port, SHAPE.clients)
  // The first message, and then what was missed.
  const seen = await load.expect(SHAPE.clients * (missed + 1))
  if (!seen.complete) throw new Error(`Of ${missed} missed messages each, some did not come.`)
  const { cpuUs } = await server.usage()
  return { cpuUs, us: seen.us, loadCpu: seen.cpuUs / seen.us }
}

/** Waits until the server has nothing left to do: letting go of those who left is not coming back. */
async function settled(server: Running): Promise<void> {
  await until('the server is idle', async () => {
    await server.mark()
    await sleep(50)
    return (await server.usage()).cpuUs < 5_000
  })
}
