import { floor, unifrost, unifrostVia } from '../contenders.js'
import type { Contender } from '../contenders.js'
import { ONE_TOPIC } from '../node-contender.js'
import { natsContender } from '../peers/nats.js'
import { behindNginx } from '../peers/nginx.js'
import type { BenchStage, Workload } from './bench-stage.js'
import { count, deliver, inRounds, withCrowd } from './bench-stage.js'

const SHAPE = { clients: 1_000, ...ONE_TOPIC }

/** The same through frameworks, HTTP/2, a proxy and a broker, with what they cost. */
export const surroundings: Workload = {
  name: 'surroundings',
  async run(stage) {
    const vias = ['express', 'koa', 'http2'].map((via) => unifrostVia(via))
    const contenders = [unifrost, floor, ...vias, behindNginx, natsContender]
    await inRounds(
      stage,
      'surroundings',
      Math.min(2, stage.scale.rounds),
      await stage.available(contenders),
      (contender, round) => measure(stage, contender, round),
    )
  },
}

async function measure(stage: BenchStage, contender: Contender, round: number) {
  const messages = Math.ceil(stage.scale.frames / SHAPE.clients)
  await withCrowd(stage, contender, SHAPE, async (server) => {
    for (const [burst, kind] of [
      [1, 'single'],
      [10, 'bursts of 10'],
    ] as const) {
      await deliver(stage, server, { messages: Math.ceil(messages / 2), bytes: 200, burst })
      const { metrics, owed } = await deliver(stage, server, { messages, bytes: 200, burst })
      const beside = await server.besides?.()
      stage.keep({
        workload: 'surroundings',
        scenario: `${count(SHAPE.clients)} clients, ${kind}`,
        contender: contender.name,
        round,
        metrics: { ...metrics, ...(beside !== undefined && { besidesUs: beside / owed }) },
      })
    }
  })
}
