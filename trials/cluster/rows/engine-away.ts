import { until } from '../../../test/support/until.js'
import { callJson } from '../../kit/call.js'
import type { Row } from '../../kit/row.js'
import { seconds } from '../../kit/row.js'
import type { Context } from '../on-fleet.js'
import { figureOf, mustHold, onFleet, triedWith } from '../on-fleet.js'
import type { EngineKind } from '../engine.js'
import { startEngine } from '../engines.js'
import { mustAgree } from '../presence.js'
import { flowing } from './server-ends.js'

/** The engine is killed: Redis comes back empty, of three NATS servers the leader goes. */
export async function engineAway(context: Context, kind: EngineKind): Promise<Row> {
  // One of its own, since it will have lost all that others have put there.
  const engine = await startEngine(kind)
  try {
    return await onFleet(context, { name: `away-${kind}`, engine }, async (fleet, trial) => {
      fleet.publishOn()
      await flowing(fleet)
      const before = fleet.clients.reduce((sum, client) => sum + client.connects, 0)
      const toldBefore = fleet.ledger.told
      const began = performance.now()
      const what = await engine.harm()
      const states = () =>
        Promise.all(
          fleet.servers.map(async (_, i) => (await fleet.ask(i, { do: 'report' }))?.directory),
        )
      const isDown = async () => (await states()).every((state) => state === 'down')
      const replicated = kind === 'jetstream'
      const refusals: number[] = []
      if (!replicated) {
        await until('the servers to notice', isDown, 5_000).catch(() =>
          trial.must(false, 'not every server noticed that the directory was away'),
        )
        const url = `http://127.0.0.1:${fleet.proxy.port}/clients`
        const answer = await callJson(url, 'POST').catch(() => undefined)
        refusals.push(answer?.status ?? 0)
        trial.must(answer?.status === 503, `a new client got ${answer?.status} meanwhile`)
      }
      const healed = async () => (await states()).every((state) => state === 'up')
      await until('the directory to be up again', healed, 30_000)
      const up = performance.now() - began
      const after = fleet.clients.reduce((sum, client) => sum + client.connects, 0)
      trial.must(after === before, `${after - before} streams were opened anew`)
      // A directory carries no messages: nobody may notice that it is away.
      const told = fleet.ledger.told - toldBefore
      trial.must(kind === 'redis' || told === 0, `${told} times told messages-lost meanwhile`)
      // Everybody comes back, to another server than it was with as a rule.
      for (const client of fleet.clients) client.comeBack()
      await fleet.settle()
      await mustAgree(fleet, trial)
      // A stream that is empty all at once is told; a directory alone carries no messages.
      mustHold(fleet, trial, kind === 'redis')
      return {
        promise: replicated
          ? 'The leader of three NATS servers is killed: nobody notices'
          : 'Redis is killed and restarted empty: streams go on, and everything heals',
        how: `${triedWith(fleet, fleet.clients.length)}; ${what}; then every client reconnects`,
        figure:
          `${after - before} streams broken; ` +
          (replicated ? '' : `a new client got ${refusals.join()} meanwhile; `) +
          `all servers had their directory ${seconds(up)} after the kill; ${figureOf(fleet)}`,
        problems: trial.problems,
      }
    })
  } finally {
    await engine.stop()
  }
}
