import { readFileSync } from 'node:fs'
import { leftOut } from '../../../src/testing/index.js'
import type { Capability, DriverHarness } from '../../../src/testing/index.js'

const TABLE = 'test/src/drivers/left-out.json'

/** Why a harness does not break or count connections that it hands to its drivers. */
export const OWNED = 'the connections are those of the user, who makes them and closes them'

/** What stands in the table: for each way to run the suite, what it lacks and why. */
interface Table {
  /** The cases that need something. */
  cases: Record<Capability, string[]>
  harnesses: Record<string, Partial<Record<Capability, string>>>
}

export function readLeftOut(): Table {
  return JSON.parse(readFileSync(TABLE, 'utf8')) as Table
}

/** Holds what a harness leaves out of the contract against the table that is in the repo. */
export function expectLeftOut(broker: string, harness: DriverHarness): void {
  const { cases, harnesses } = readLeftOut()
  const lacks = harnesses[broker] ?? {}
  expect(harness.without ?? {}).toEqual(lacks)
  const lost = (Object.keys(lacks) as Capability[]).flatMap((capability) => cases[capability])
  const found = leftOut(harness).map(({ name }) => name)
  expect(new Set(found)).toEqual(new Set(lost))
}
