/** @needs a PostgreSQL server */
import { driverContract } from '../../../src/testing/index.js'
import { RUNNING_POSTGRES } from '../../brokers/postgres.js'
import { connectionsTo } from '../../brokers/process.js'
import { measureDriver } from './figures.js'
import { frozenForLong } from './frozen.js'
import { expectLeftOut } from './left-out.js'
import { PostgresFixture, postgresHarness } from './postgres-harness.js'

describe('postgresDriver keeps the contract', () => {
  const fixture = new PostgresFixture()
  const { harness, end } = postgresHarness(fixture)
  beforeAll(() => fixture.start())
  afterAll(async () => {
    await end()
    await fixture.stop()
  })

  for (const { name, run } of driverContract(harness)) test(name, run)

  test('is ready within 100 ms, and leaves nothing of 1,000 topics', async () => {
    const connections = () => connectionsTo(fixture.link.port)
    await measureDriver('PostgreSQL (pg)', 100, harness, { connections })
  })

  if (!RUNNING_POSTGRES) {
    test(
      'a broker frozen for twenty seconds under load: everything, or a gap in its place',
      () => frozenForLong(harness),
      120_000,
    )
  }

  test('nothing is left out but what left-out.json says', () => {
    expectLeftOut(RUNNING_POSTGRES ? 'postgres, running already' : 'postgres', harness)
  })
})
