import { readFileSync } from 'node:fs'
import { leftOut } from '../../../src/testing/index.js'
import type { DriverHarness } from '../../../src/testing/index.js'

const TABLE = 'test/src/drivers/left-out.json'

/** Holds what a harness leaves out of the contract against the table that is in the repo. */
export function expectLeftOut(broker: string, harness: DriverHarness): void {
  const table = JSON.parse(readFileSync(TABLE, 'utf8')) as Record<string, unknown>
  const found = leftOut(harness).map(({ name, reason }) => [name, reason])
  expect(Object.fromEntries(found)).toEqual(table[broker])
}
