import { until } from '../../../test/support/until.js'
import type { Row } from '../../kit/row.js'
import { seconds, whole } from '../../kit/row.js'
import type { Context } from '../on-fleet.js'
import { figureOf, mustHold, onFleet, triedWith } from '../on-fleet.js'
import type { EngineKind } from '../engine.js'

/** The most operations of the directory that one adoption may cost. */
const MOST_OPERATIONS = 8

/** One server dies, and everybody else's connection breaks with it. */
export async function storm(context: Context, kind: EngineKind): Promise<Row> {
  const engine = await context.engine(kind)
  const clients = context.short ? 300 : 2_000
  const name = `storm-${kind}`
  const settings = { name, engine, clients, rate: 20 }
  return onFleet({ ...context, clients }, settings, async (fleet, trial) => {
    fleet.publishOn()
    await until('messages to flow', () => fleet.ledger.received > 2 * clients, 30_000)
    const operations = await engine.operations(name)
    const mark = new Map(fleet.newest)
    const began = performance.now()
    await fleet.servers[0]!.kill()
    fleet.proxy.cutAll()
    await until('everybody to be gone', () => fleet.clients.some((c) => !c.connected), 5_000)
    await fleet.connected(60_000)
    const connected = performance.now() - began
    const everyone = () => fleet.clients.every((c) => fleet.ledger.has(c.settings.name, mark))
    await until('everybody to have caught up', everyone, 60_000)
    const took = performance.now() - began
    // Half of them are transient, and no business of the directory.
    const explicit = fleet.clients.filter(({ settings: { kind } }) => kind === 'explicit').length
    const each = ((await engine.operations(name)) - operations) / explicit
    trial.must(each <= MOST_OPERATIONS, `${each.toFixed(1)} operations for each client`)
    await fleet.settle()
    mustHold(fleet, trial)
    return {
      promise: `${whole(clients)} clients reconnect at once to the two servers that are left`,
      how: `${triedWith(fleet, clients)}; one server is killed, and all connections are cut`,
      figure:
        `all connected after ${seconds(connected)}, all caught up after ${seconds(took)}; ` +
        `${each.toFixed(2)} operations of the directory for each client that is in it; ` +
        figureOf(fleet),
      problems: trial.problems,
    }
  })
}
