import { betterSse, floor, loop, unifrost } from '../contenders.js'
import type { Contender } from '../contenders.js'
import type { BenchStage, Workload } from './bench-stage.js'
import { count, deliver, inRounds, withCrowd } from './bench-stage.js'

const CONTENDERS = [unifrost, floor, loop, betterSse]

/** Many clients with 10 of 1,000 topics each, and messages to random topics. */
export const manyTopics: Workload = {
  name: 'many-topics',
  async run(stage) {
    await inRounds(
      stage,
      'many topics',
      stage.scale.rounds,
      await stage.available(CONTENDERS),
      (contender, round) => measure(stage, contender, round),
    )
  },
}

async function measure(stage: BenchStage, contender: Contender, round: number) {
  const clients = stage.scale.manyTopics
  const shape = { clients, topics: 1_000, perClient: 10 }
  const messages = Math.ceil((stage.scale.frames * 100) / clients)
  const keep = (kind: string, metrics: Record<string, number>) =>
    stage.keep({
      workload: 'many-topics',
      scenario: `${count(clients)} clients × 10 of 1,000 topics, ${kind}`,
      contender: contender.name,
      round,
      metrics,
    })
  await withCrowd(stage, contender, shape, async (server) => {
    const warmUp = Math.ceil(messages / 3)
    await deliver(stage, server, { messages: warmUp, bytes: 200, burst: 1 })
    const single = await deliver(stage, server, { messages, bytes: 200, burst: 1 })
    keep('single', single.metrics)
    await deliver(stage, server, { messages: warmUp, bytes: 200, burst: 100 })
    const bursts = await deliver(stage, server, { messages: messages * 2, bytes: 200, burst: 100 })
    keep('bursts of 100', bursts.metrics)
  })
}
