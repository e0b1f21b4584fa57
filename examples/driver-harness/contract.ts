// Runs the contract of every driver on the one of this example, with the test runner of Node. Jest
// and Vitest take the cases in the same way.
//
//   npx tsx examples/driver-harness/contract.ts
import { after, test } from 'node:test'
import { driverContract, leftOut } from 'unifrost/testing'
import { tinyHarness } from './harness.js'

const { harness, stop } = await tinyHarness()
after(stop)

for (const { name, run } of driverContract(harness)) void test(name, run)
for (const { name, reason } of leftOut(harness)) void test(name, { skip: reason })
