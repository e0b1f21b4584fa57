/** @needs processes that may be killed and stopped */
import { driverContract } from '../../../src/testing/index.js'
import { frozenForLong } from '../drivers/frozen.js'
import { HubFixture } from './harness.js'

describe('hubDriver keeps the contract', () => {
  const fixture = new HubFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  for (const { name, run } of driverContract(fixture.harness)) test(name, run)

  test(
    'a hub frozen for twenty seconds under load: everything, or a gap in its place',
    () => frozenForLong(fixture.harness),
    120_000,
  )
})
