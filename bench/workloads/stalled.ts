import { betterSse, loop, unifrost } from '../contenders.js'
import type { Contender } from '../contenders.js'
import { ONE_TOPIC } from '../node-contender.js'
import type { Stage, Workload } from './stage.js'
import { count, deliver, inRounds } from './stage.js'

const READERS = 400
const STALLED = 100
const ORDER = { messages: 1_000, bytes: 2_500, burst: 1 }

/**
 * A fifth of the clients stops reading. What the others get, and how fast, is compared with a run
 * of the others alone. The number of messages bounds it for those who queue without a bound.
 */
export const stalled: Workload = {
  name: 'stalled',
  async run(stage) {
    const contenders = await stage.available([unifrost, loop, betterSse])
    await inRounds(
      stage,
      'a fifth never reads',
      Math.min(2, stage.scale.rounds),
      contenders,
      async (contender, round) => {
        await measure(stage, contender, 0, round)
        await measure(stage, contender, STALLED, round)
      },
    )
  },
}

async function measure(stage: Stage, contender: Contender, idle: number, round: number) {
  const { load, keep } = stage
  const clients = READERS + idle
  // Only what readers get is owed.
  const server = await contender.start({ clients: READERS, ...ONE_TOPIC })
  try {
    await load.approach(contender.approach)
    await load.narrow(idle)
    await load.open(server.port, clients)
    await load.stall(idle)
    await deliver(stage, server, { ...ORDER, messages: 20 })
    const before = await server.usage()
    const { metrics, seen } = await deliver(stage, server, ORDER)
    keep({
      workload: 'stalled',
      scenario:
        idle === 0 ? `${READERS} readers` : `${READERS} readers, ${STALLED} that don't read`,
      contender: contender.name,
      round,
      metrics: {
        framesPerSecond: metrics.framesPerSecond!,
        cpuUs: metrics.cpuUs!,
        megabytesBefore: before.rss / 1e6,
        megabytes: metrics.peak! / 1e6,
        missing: ORDER.messages - seen.fewest,
        doubled: Math.max(0, seen.most - ORDER.messages),
        loadCpu: metrics.loadCpu!,
      },
    })
  } finally {
    await server.stop()
    await load.close()
    await load.narrow(0)
  }
}

export const STALLED_SCENARIOS = [
  `${READERS} readers`,
  `${READERS} readers, ${STALLED} that don't read`,
] as const

export const STALLED_DATA = `${count(ORDER.messages)} messages of ${count(ORDER.bytes)} B`
