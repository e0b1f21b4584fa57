import { until } from '../../../test/support/until.js'
import type { Row } from '../../kit/row.js'
import { seconds } from '../../kit/row.js'
import type { BalancerKind } from '../balancer.js'
import type { Context } from '../on-fleet.js'
import { figureOf, mustHold, onFleet, triedWith } from '../on-fleet.js'
import type { EngineKind } from '../engine.js'
import type { Fleet } from '../fleet.js'
import { CLIENT_TTL, OVER, SERVERS } from '../fleet.js'
import { mustAgree } from '../presence.js'

/** All three servers are told to end, one after the other, and others come in their place. */
export async function rolling(
  context: Context,
  kind: EngineKind,
  balancer: BalancerKind = 'haproxy',
): Promise<Row> {
  const engine = await context.engine(kind)
  const name = `rolling-${kind}-${balancer}`
  return onFleet(context, { name, engine, balancer }, async (fleet, trial) => {
    fleet.publishOn()
    await flowing(fleet)
    const took: number[] = []
    for (let index = 0; index < SERVERS; index++) {
      const server = fleet.servers[index]!
      const began = performance.now()
      server.signal('SIGTERM')
      const code = await server.end(OVER + 15_000)
      took.push(performance.now() - began)
      trial.must(code === 0, `server ${index + 1} ended with ${code}: ${server.stderr}`)
      await fleet.start(index)
      await fleet.connected()
    }
    await fleet.settle()
    await mustAgree(fleet, trial)
    mustHold(fleet, trial)
    return {
      promise: `Rolling SIGTERM of all three servers: nobody misses anything${engine.hasLog ? '' : ' unawares'}`,
      how: triedWith(fleet, fleet.clients.length),
      figure: `the servers ended after ${took.map(seconds).join(', ')}; ${figureOf(fleet)}`,
      problems: trial.problems,
    }
  })
}

/** One server dies without a word, and stays away for a while. */
export async function killed(context: Context, kind: EngineKind): Promise<Row> {
  const engine = await context.engine(kind)
  return onFleet(context, { name: `killed-${kind}`, engine }, async (fleet, trial) => {
    fleet.publishOn()
    await flowing(fleet)
    const mark = new Map(fleet.newest)
    const began = performance.now()
    await fleet.servers[0]!.kill()
    const everyone = () => fleet.clients.every((c) => fleet.ledger.has(c.settings.name, mark))
    await until('everybody to get something new', everyone, CLIENT_TTL).catch(() =>
      trial.must(false, 'somebody was not served again within the TTL'),
    )
    const back = performance.now() - began
    await fleet.start(0)
    await fleet.settle()
    await mustAgree(fleet, trial)
    mustHold(fleet, trial)
    return {
      promise: 'kill -9 of one server: every client is served again within its TTL',
      how: triedWith(fleet, fleet.clients.length),
      figure:
        `everybody had new messages of all topics ${seconds(back)} after the kill ` +
        `(TTL ${CLIENT_TTL / 1_000} s); ${figureOf(fleet)}`,
      problems: trial.problems,
    }
  })
}

/** Waits until messages arrive in good number. */
export async function flowing(fleet: Fleet): Promise<void> {
  const enough = fleet.ledger.received + 5 * fleet.clients.length
  await until('messages to flow', () => fleet.ledger.received > enough, 30_000)
}
