import {
  betterSse,
  express,
  fastifySse,
  floor,
  koa,
  loop,
  socketIo,
  unifrost,
} from '../contenders.js'
import type { Contender } from '../contenders.js'
import { ONE_TOPIC } from '../node-contender.js'
import type { Stage, Workload } from './stage.js'
import { count, deliver, inRounds, withCrowd } from './stage.js'

/** These are measured at every size, the others at two. */
const NEAREST = [unifrost, floor, loop, betterSse]
const OTHERS = [express, koa, fastifySse, socketIo]
const SIZES_OF_OTHERS = [1_000, 5_000]

/** One topic to many clients, in single messages and in bursts of 10, 200 B each. */
export const fanOut: Workload = {
  name: 'fan-out',
  async run(stage) {
    for (const clients of stage.scale.fanOut) {
      const others = SIZES_OF_OTHERS.includes(clients) ? OTHERS : []
      await inRounds(stage.scale.rounds, stage.available([...NEAREST, ...others]), (one, round) =>
        measure(stage, one, clients, round),
      )
    }
  },
}

async function measure(stage: Stage, contender: Contender, clients: number, round: number) {
  const shape = { clients, ...ONE_TOPIC }
  const messages = Math.max(10, Math.ceil(stage.scale.frames / clients))
  const keep = (kind: string, metrics: Record<string, number>) =>
    stage.keep({
      workload: 'fan-out',
      scenario: `${count(clients)} clients, ${kind}`,
      contender: contender.name,
      round,
      metrics,
    })
  await withCrowd(stage, contender, shape, async (server) => {
    const warmUp = Math.ceil(messages / 3)
    await deliver(stage, server, { messages: warmUp, bytes: 200, burst: 1 })
    const single = await deliver(stage, server, { messages, bytes: 200, burst: 1 })
    keep('single', single.metrics)
    await deliver(stage, server, { messages: warmUp, bytes: 200, burst: 10 })
    const bursts = await deliver(stage, server, { messages: messages * 2, bytes: 200, burst: 10 })
    keep('bursts of 10', bursts.metrics)
  })
}
