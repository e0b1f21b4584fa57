import { readFileSync } from 'node:fs'
import { leftOut } from '../../../src/testing/index.js'
import type { DriverHarness } from '../../../src/testing/index.js'

const TABLE = 'test/src/drivers/left-out.json'

/** By reason: which cases of the contract are left out with which drivers. */
type Table = Record<string, { drivers: string[]; cases: string[] }[]>

/** Holds what a harness leaves out of the contract against the table that is in the repo. */
export function expectLeftOut(driver: string, harness: DriverHarness): void {
  const table = JSON.parse(readFileSync(TABLE, 'utf8')) as Table
  const expected = Object.entries(table).flatMap(([reason, groups]) =>
    groups
      .filter(({ drivers }) => drivers.includes(driver))
      .flatMap(({ cases }) => cases.map((name): [string, string] => [name, reason])),
  )
  const found = leftOut(harness).map(({ name, reason }) => [name, reason])
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected))
}
