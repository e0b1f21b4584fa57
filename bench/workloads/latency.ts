import { betterSse, floor, loop, unifrost } from '../contenders.js'
import type { Contender } from '../contenders.js'
import { ONE_TOPIC } from '../node-contender.js'
import type { BenchStage, Workload } from './bench-stage.js'
import { count, deliver, inRounds, withCrowd } from './bench-stage.js'

const CONTENDERS = [unifrost, floor, loop, betterSse]
const SHAPE = { clients: 1_000, ...ONE_TOPIC }

/** How long messages take at half the rate that *loop* can keep up with: the same for everybody. */
export const latency: Workload = {
  name: 'latency',
  async run(stage) {
    for (const bytes of stage.scale.latencyBytes) {
      const rate = Math.floor((await saturation(stage, bytes)) / 2)
      const contenders = await stage.available(CONTENDERS)
      await inRounds(
        stage,
        `latency, ${count(bytes)} B`,
        stage.scale.rounds,
        contenders,
        (contender, round) => measure(stage, contender, bytes, rate, round),
      )
    }
  },
}

/** How many messages a second *loop* delivers flat out. */
function saturation(stage: BenchStage, bytes: number): Promise<number> {
  return withCrowd(stage, loop, SHAPE, async (server) => {
    await deliver(stage, server, { messages: 50, bytes, burst: 1 })
    const { metrics } = await deliver(stage, server, { messages: 100, bytes, burst: 1 })
    return metrics.framesPerSecond! / SHAPE.clients
  })
}

async function measure(
  stage: BenchStage,
  contender: Contender,
  bytes: number,
  rate: number,
  round: number,
) {
  const messages = Math.ceil(stage.scale.latencySeconds * rate)
  await withCrowd(stage, contender, SHAPE, async (server) => {
    await stage.load.stamps(true)
    await deliver(stage, server, { messages: Math.ceil(messages / 3), bytes, burst: 1, rate })
    const { seen, metrics } = await deliver(stage, server, { messages, bytes, burst: 1, rate })
    await stage.load.stamps(false)
    const { p50Us, p99Us, maxUs } = seen.latency
    const times = { p50: p50Us / 1e3, p99: p99Us / 1e3, max: maxUs / 1e3 }
    stage.keep({
      workload: 'latency',
      scenario: `${count(SHAPE.clients)} clients, ${count(bytes)} B`,
      contender: contender.name,
      round,
      metrics: { ...times, rate, serverCpu: metrics.serverCpu!, loadCpu: metrics.loadCpu! },
    })
  })
}
