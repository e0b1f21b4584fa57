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
import { centrifugoSse, centrifugoWebSocket } from '../peers/centrifugo.js'
import { goUnifrost, mercure } from '../peers/out-of-reach.js'
import { ONE_TOPIC } from '../node-contender.js'
import type { BenchStage, Workload } from './bench-stage.js'
import { count, deliver, inRounds, withCrowd } from './bench-stage.js'

/** These are measured at every size and in every round, the others at two sizes. */
const NEAREST = [unifrost, floor, loop, betterSse]
const OTHERS = [express, koa, fastifySse, socketIo]
const SERVERS = [centrifugoSse, centrifugoWebSocket, mercure, goUnifrost]
const SIZES_OF_OTHERS = [1_000, 5_000]
const ROUNDS_OF_OTHERS = 2

/** One topic to many clients, in single messages and in bursts of 10, 200 B each. */
export const fanOut: Workload = {
  name: 'fan-out',
  async run(stage) {
    for (const clients of stage.scale.fanOut) {
      const withOthers = stage.scale.others && SIZES_OF_OTHERS.includes(clients)
      const others = withOthers ? await stage.available([...OTHERS, ...SERVERS]) : []
      const contenders = [...(await stage.available(NEAREST)), ...others]
      const { rounds } = stage.scale
      await inRounds(stage, `${count(clients)} clients`, rounds, contenders, async (one, round) => {
        if (round < ROUNDS_OF_OTHERS || !others.includes(one)) {
          await measure(stage, one, clients, round)
        }
      })
    }
  },
}

async function measure(stage: BenchStage, contender: Contender, clients: number, round: number) {
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
