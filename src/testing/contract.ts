import { backingOff } from './backing-off.js'
import { Bench } from './bench.js'
import type { Definition } from './bench.js'
import { breaking } from './breaking.js'
import { closing } from './closing.js'
import { delivery } from './delivery.js'
import { checkHarness } from './harness.js'
import type { Capability, DriverHarness } from './harness.js'
import { leaving } from './leaving.js'
import { logCases } from './log-cases.js'
import { naming } from './naming.js'
import { publishing } from './publishing.js'
import { refusing } from './refusing.js'
import { silent } from './silent.js'

/** One test. It is for any framework: `test(c.name, c.run)`. */
export interface ContractCase {
  /** Which of the nine rules of `Driver` it holds the driver to. */
  readonly rule: number
  readonly name: string
  /** Rejects with an error that says what was expected and what came instead. */
  run(): Promise<void>
}

/** A test that this harness can't run, and why. */
export interface LeftOutCase {
  readonly rule: number
  readonly name: string
  readonly needs: Capability
  readonly reason: string
}

const DEFINITIONS: readonly Definition[] = [
  ...delivery,
  ...closing,
  ...leaving,
  ...breaking,
  ...backingOff,
  ...refusing,
  ...silent,
  ...naming,
  ...publishing,
]

/**
 * The tests that every driver has to pass, bound to yours:
 *
 * ```ts
 * for (const { name, run } of driverContract(harness)) test(name, run)
 * ```
 *
 * They run one after the other, against a real broker. A driver must not crash the process
 * either, which is for the framework to notice: all of them report an unhandled rejection.
 *
 * Three promises are held to by a measure:
 *
 * - Back-off: while connections are refused for four seconds, there are at most 25 attempts within
 *   any second, and at most 6 within the last second and a half, times `connectionsPerTry`. A wait that is always of half a
 *   second passes, and so does one that grows from 50 ms.
 * - Nothing left in the process: of all timers, sockets and the like that were made within a call of
 *   the driver, and within what the call set off, none is there 500 ms after `close` has settled.
 *   Timers that were unref'd count. `process` and a connection that was brought have no more
 *   listeners than before.
 * - Errors that say what to do: they name the address, have an imperative in them or what is needed
 *   (`DriverHarness.advice`), and show no password, not even in their causes.
 */
export function driverContract(harness: DriverHarness): ContractCase[] {
  checkHarness(harness)
  return DEFINITIONS.filter((definition) => !lacking(harness, definition)).map((definition) => ({
    rule: definition.rule,
    name: `${definition.rule}: ${definition.name}`,
    run: () => new Bench(harness).run(definition),
  }))
}

/**
 * The tests that a driver with a `log` has to pass besides, bound to yours as those of
 * {@link driverContract} are.
 */
export function logContract(harness: DriverHarness): Pick<ContractCase, 'name' | 'run'>[] {
  checkHarness(harness)
  return logCases.map((definition) => ({
    name: `log: ${definition.name}`,
    run: () => new Bench(harness).run(definition),
  }))
}

/** The tests that are left out, so that nothing is in silence: compare it with what you know. */
export function leftOut(harness: DriverHarness): LeftOutCase[] {
  checkHarness(harness)
  return DEFINITIONS.flatMap((definition) => {
    const needs = lacking(harness, definition)
    const reason = needs && harness.without?.[needs]
    if (!needs || !reason) return []
    return { rule: definition.rule, name: `${definition.rule}: ${definition.name}`, needs, reason }
  })
}

function lacking(harness: DriverHarness, { needs = [] }: Definition): Capability | undefined {
  return needs.find((capability) => harness.without?.[capability] !== undefined)
}
