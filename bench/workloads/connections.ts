import { betterSse, http, loop, unifrost } from '../contenders.js'
import type { Contender } from '../contenders.js'
import { ONE_TOPIC } from '../node-contender.js'
import type { BenchStage, Workload } from './bench-stage.js'
import { count, inRounds } from './bench-stage.js'

const CONTENDERS = [unifrost, http, loop, betterSse]

/** So many are opened and closed first: what is compiled and loaded with the first is not theirs. */
const FIRST = 200

/** Connections that come all at once, and then do nothing: how fast, and what each one holds. */
export const connections: Workload = {
  name: 'connections',
  async run(stage) {
    for (const clients of stage.scale.idle) {
      const contenders = await stage.available(CONTENDERS)
      // Memory hardly differs between rounds.
      await inRounds(
        stage,
        `${count(clients)} connections`,
        Math.min(2, stage.scale.rounds),
        contenders,
        (contender, round) =>
          measureIdle(stage, contender, { clients, round, workload: 'connections' }),
      )
    }
  },
}

/** Opens connections that do nothing, and keeps what each one costs. */
export async function measureIdle(
  { load, keep }: BenchStage,
  contender: Contender,
  { clients, round, workload }: { clients: number; round: number; workload: string },
): Promise<void> {
  const server = await contender.start({ clients, ...ONE_TOPIC })
  try {
    await load.approach(contender.approach)
    await load.open(server.port, FIRST)
    await load.close()
    const before = await server.usage(true)
    await server.mark()
    const opened = await load.open(server.port, clients)
    const { cpuUs } = await server.usage()
    const after = await server.usage(true)
    keep({
      workload,
      scenario: `${count(clients)} connections`,
      contender: contender.name,
      round,
      metrics: {
        kilobytes: (after.rss - before.rss) / clients / 1e3,
        heapKilobytes: (after.heap - before.heap) / clients / 1e3,
        perSecond: (clients / opened.us) * 1e6,
        cpuUs: cpuUs / clients,
        loadCpu: opened.cpuUs / opened.us,
      },
    })
  } finally {
    await server.stop()
    await load.close()
  }
}
