import {
  bareExpress,
  betterSseInExpress,
  floor,
  loop,
  unifrost,
  unifrostVia,
} from '../contenders.js'
import type { Contender } from '../contenders.js'
import type { Shape } from '../node-contender.js'
import { ONE_TOPIC } from '../node-contender.js'
import type { BenchStage, Workload } from './bench-stage.js'
import { count, deliver, inRounds, withCrowd } from './bench-stage.js'
import { measureIdle } from './connections.js'

/** As it is mounted in the versions of the frameworks, and in the company that it has in most apps. */
export const MOUNTS = ['express', 'express4', 'koa', 'koa2', 'express-company', 'koa-company']

const SIZES = [1_000, 5_000]

/** One reader for each topic and parts of 60 bytes: what a server of a language model sends. */
export const PARTS = '1,000 topics of one reader, 60 B'
const PARTS_SHAPE: Shape = { clients: 1_000, topics: 1_000, perClient: 1 }

/** The same through each framework as on `node:http`, in one run. */
export const mounted: Workload = {
  name: 'mounted',
  async run(stage) {
    const vias = MOUNTS.map((via) => unifrostVia(via))
    const contenders = await stage.available([
      ...[floor, unifrost, ...vias, betterSseInExpress, loop],
    ])
    const { rounds, fanOut } = stage.scale
    for (const clients of SIZES.filter((size) => fanOut.includes(size))) {
      await inRounds(stage, `${count(clients)} clients`, rounds, contenders, (one, round) =>
        measure(stage, one, clients, round),
      )
    }
    if (!stage.scale.others) return
    const near = [floor, unifrost, ...vias.slice(0, 3), betterSseInExpress]
    await inRounds(stage, PARTS, rounds, await stage.available(near), (one, round) =>
      measureParts(stage, one, round),
    )
    const idle = Math.max(...stage.scale.idle)
    const held = await stage.available([unifrostVia('express'), bareExpress])
    await inRounds(stage, `${count(idle)} idle`, 2, held, (one, round) =>
      measureIdle(stage, one, { clients: idle, round, workload: 'mounted' }),
    )
  },
}

async function measure(stage: BenchStage, contender: Contender, clients: number, round: number) {
  const messages = Math.max(10, Math.ceil(stage.scale.frames / clients))
  await withCrowd(stage, contender, { clients, ...ONE_TOPIC }, async (server) => {
    for (const [burst, kind] of [
      [1, 'single'],
      [10, 'bursts of 10'],
    ] as const) {
      await deliver(stage, server, { messages: Math.ceil(messages / 3), bytes: 200, burst })
      const order = { messages: messages * (burst === 1 ? 1 : 2), bytes: 200, burst }
      const { metrics } = await deliver(stage, server, order)
      const scenario = `${count(clients)} clients, ${kind}`
      stage.keep({ workload: 'mounted', scenario, contender: contender.name, round, metrics })
    }
  })
}

/** 20 parts in a turn, each for another reader. */
async function measureParts(stage: BenchStage, contender: Contender, round: number) {
  const messages = Math.ceil(stage.scale.frames / 2)
  await withCrowd(stage, contender, PARTS_SHAPE, async (server) => {
    await deliver(stage, server, { messages: Math.ceil(messages / 3), bytes: 60, burst: 20 })
    const { metrics } = await deliver(stage, server, { messages, bytes: 60, burst: 20 })
    stage.keep({ workload: 'mounted', scenario: PARTS, contender: contender.name, round, metrics })
  })
}
