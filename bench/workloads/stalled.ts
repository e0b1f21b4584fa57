import { betterSse, loop, unifrost } from '../contenders.js'
import type { Contender } from '../contenders.js'
import { ONE_TOPIC } from '../node-contender.js'
import type { BenchStage, Workload } from './bench-stage.js'
import { count, deliver, inRounds } from './bench-stage.js'

const READERS = 400
const STALLED = 100
/** More than the kernel takes for one that does not read: what comes after it has to wait. */
const FILLING = { messages: 1_000, bytes: 4_000, burst: 10 }
/**
 * Of unifrost alone, whose goal is how two throughputs compare: each of them is up to a third more
 * or less in one round than in the next, on a machine that nothing else runs on.
 */
const MORE_ROUNDS = 5
const ORDER = { messages: 750, bytes: 4_000, burst: 1 }

/**
 * A fifth of the clients stops reading. What the others get, and how fast, is compared with a run
 * of the others alone. The number of messages bounds it for those who queue without a bound.
 */
export const stalled: Workload = {
  name: 'stalled',
  async run(stage) {
    const contenders = await stage.available([unifrost, loop, betterSse])
    const turn = async (contender: Contender, round: number) => {
      // In turn, or a machine that slows down would be taken for what the second of them costs.
      for (const idle of round % 2 === 0 ? [0, STALLED] : [STALLED, 0]) {
        await measure(stage, contender, idle, round)
      }
    }
    const rounds = Math.min(2, stage.scale.rounds)
    const what = 'a fifth never reads'
    await inRounds(stage, what, rounds, contenders, turn)
    if (!stage.scale.others) return
    const judged = contenders.filter((contender) => contender === unifrost)
    await inRounds(stage, what, MORE_ROUNDS, judged, (contender, round) =>
      turn(contender, rounds + round),
    )
  },
}

async function measure(stage: BenchStage, contender: Contender, idle: number, round: number) {
  const { load, keep } = stage
  const clients = READERS + idle
  // Only what readers get is owed.
  const server = await contender.start({ clients: READERS, ...ONE_TOPIC })
  try {
    await load.approach(contender.approach)
    await load.narrow(idle)
    await load.open(server.port, clients)
    await load.stall(idle)
    await deliver(stage, server, { ...ORDER, messages: 50 })
    const before = await server.usage()
    const filling = await deliver(stage, server, FILLING)
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
        megabytes: Math.max(filling.metrics.peak!, metrics.peak!) / 1e6,
        missing: FILLING.messages - filling.seen.fewest + ORDER.messages - seen.fewest,
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

export const STALLED_DATA =
  `${count(FILLING.messages)} messages of ${count(FILLING.bytes)} B fill the buffers of those who ` +
  `don't read, and ${count(ORDER.messages)} more are measured`
