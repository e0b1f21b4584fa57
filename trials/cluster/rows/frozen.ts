import { until } from '../../../test/support/until.js'
import type { Row } from '../../kit/row.js'
import { seconds } from '../../kit/row.js'
import type { Context } from '../on-fleet.js'
import { figureOf, mustHold, onFleet, triedWith } from '../on-fleet.js'
import type { EngineKind } from '../engine.js'
import { Served } from '../served.js'
import { flowing } from './server-ends.js'

/** How long after it awoke a server may still have streams of clients that are elsewhere. */
const AWAKE = 5_000

/** One server stands still for half a minute; its connections stay open meanwhile. */
export async function frozen(context: Context, kind: EngineKind): Promise<Row> {
  const lasts = context.short ? 12_000 : 30_000
  const engine = await context.engine(kind)
  // Its clients are away only as long as it takes them to notice.
  return onFleet(context, { name: `frozen-${kind}`, engine }, async (fleet, trial) => {
    fleet.publishOn()
    await flowing(fleet)
    const served = new Served(fleet)
    const theirs = await fleet.remembered(0)
    const mark = new Map(fleet.newest)
    fleet.watchHeartbeats()
    served.begin()
    const began = performance.now()
    fleet.servers[0]!.signal('SIGSTOP')
    const everyone = () => fleet.clients.every((c) => fleet.ledger.has(c.settings.name, mark))
    await until('everybody to be served elsewhere', everyone, lasts).catch(() =>
      trial.must(false, 'somebody was not served while one server stood still'),
    )
    const adopted = performance.now() - began
    await until('the freeze to be over', () => performance.now() > began + lasts, 2 * lasts)
    const awoke = performance.now()
    fleet.servers[0]!.signal('SIGCONT')
    const letGo = async () => {
      const report = await fleet.ask(0, { do: 'report' }, 5_000)
      return report !== undefined && !report.serving.some((id) => theirs.has(id))
    }
    await until('it to let its clients go', letGo, AWAKE).catch(() =>
      trial.must(false, `it still had streams of clients after ${AWAKE} ms`),
    )
    const took = performance.now() - awoke
    await fleet.settle()
    const twice = await served.end()
    trial.must(twice === 0, `${twice} clients are served twice`)
    mustHold(fleet, trial)
    return {
      promise: `SIGSTOP of one server for ${lasts / 1_000} s: its clients are adopted, and it serves nobody twice`,
      how: `${triedWith(fleet, fleet.clients.length)}; ${theirs.size} clients were with it, and its connections stay open`,
      figure:
        `everybody was served elsewhere after ${seconds(adopted)}, of which pages take 4 s to ` +
        `notice; awake again, it had let all of them go after ${seconds(took)}; ` +
        `served by two for ${seconds(served.longest)} at the longest; ${figureOf(fleet)}`,
      problems: trial.problems,
    }
  })
}
