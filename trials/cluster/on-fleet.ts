import type { Row } from '../kit/row.js'
import { Trial, wholeness } from '../kit/row.js'
import type { BalancerKind } from './balancer.js'
import type { Engine, EngineKind } from './engine.js'
import type { FleetSettings } from './fleet.js'
import { Fleet } from './fleet.js'

/** What a run was asked for. */
export interface Context {
  seed: number
  /** Whether it is the shorter form, for the test suite. */
  short: boolean
  clients: number
  /** One that lives until the end of the run. */
  engine(kind: EngineKind): Promise<Engine>
  say(line: string): void
}

export const TOPICS = 20
export const EACH = 5
export const RATE = 60

/** A row on a fleet of its own, which goes with it. */
export async function onFleet(
  { seed, clients }: Context,
  settings: Partial<FleetSettings> & { name: string; engine: Engine; balancer?: BalancerKind },
  act: (fleet: Fleet, trial: Trial) => Promise<Row>,
): Promise<Row> {
  const fleet = await Fleet.set({
    seed,
    clients,
    topics: TOPICS,
    each: EACH,
    rate: RATE,
    balancer: 'haproxy',
    ...settings,
  })
  try {
    return await act(fleet, new Trial())
  } catch (error) {
    const refusals = fleet.clients.flatMap((client) => [...client.refusals])
    const away = fleet.clients.filter((client) => !client.connected).length
    const words = `${away} clients are not connected; refused were ${JSON.stringify(refusals)}`
    const { output } = fleet.balancer.process
    throw new Error(`${words}; ${fleet.complaints}; the balancer: ${output}`, { cause: error })
  } finally {
    await fleet.strike()
  }
}

/** What must hold whatever happened: nothing is lost in silence, and nobody lost its id. */
export function mustHold(fleet: Fleet, trial: Trial, toldIsFine = false): void {
  const { ledger, clients, settings } = fleet
  trial.mustBeWhole(ledger)
  const renewals = clients.reduce((sum, client) => sum + client.renewals, 0)
  trial.must(renewals === 0, `${renewals} times a client was unknown that was not away for long`)
  if (settings.engine.hasLog && !toldIsFine) {
    trial.must(ledger.told === 0, `${ledger.told} times told messages-lost, with a log`)
  }
  const complaints = fleet.complaints + fleet.servers.map(({ stderr }) => stderr).join('')
  trial.must(complaints === '', `a server complained: ${complaints.slice(0, 800)}`)
}

/** The counts that every row has in common, in words. */
export function figureOf(fleet: Fleet): string {
  const { ledger } = fleet
  return `${wholeness(ledger)}; ${ledger.told} times told messages-lost`
}

/** What a row was tried with, in words. */
export function triedWith({ settings: { engine, balancer, rate } }: Fleet, clients: number) {
  return `${engine.title}; ${balancer}, ${clients} clients × ${EACH} topics, ${rate} messages/s`
}
