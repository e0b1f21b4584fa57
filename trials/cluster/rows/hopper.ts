import { until } from '../../../test/support/until.js'
import type { Row } from '../../kit/row.js'
import { whole } from '../../kit/row.js'
import type { Context } from '../on-fleet.js'
import { figureOf, mustHold, onFleet, triedWith } from '../on-fleet.js'
import type { EngineKind } from '../engine.js'

/** Clients that reconnect, to the next server as the balancer has it, with every message. */
export async function hopper(context: Context, kind: EngineKind): Promise<Row> {
  const engine = await context.engine(kind)
  const hops = context.short ? 100 : 500
  const settings = { name: `hopper-${kind}`, engine, clients: 4, rate: 40 }
  return onFleet({ ...context, clients: 4 }, settings, async (fleet, trial) => {
    fleet.publishOn()
    const heard = new Map(fleet.clients.map((client) => [client, client.heard]))
    const hop = () => {
      for (const client of fleet.clients) {
        if (client.heard === heard.get(client)) continue
        heard.set(client, client.heard)
        client.comeBack()
      }
      return fleet.clients.every(({ connects }) => connects > hops)
    }
    await until('the hops', hop, 120_000)
    await fleet.settle()
    mustHold(fleet, trial)
    const connects = fleet.clients.reduce((sum, client) => sum + client.connects, 0)
    return {
      promise: engine.hasLog
        ? 'A client that hops servers on every message: exactly once, in order'
        : 'A client that hops servers on every message: told of what it misses',
      how: triedWith(fleet, fleet.clients.length),
      figure: `${whole(connects)} connections; ${figureOf(fleet)}`,
      problems: trial.problems,
    }
  })
}
