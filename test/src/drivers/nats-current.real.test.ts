/** @needs Go to build the current NATS server, since Debian's is an older one */
import { connect } from '@nats-io/transport-node'
import { natsDirectory } from '../../../src/directories/nats.js'
import { jetstreamDriver } from '../../../src/drivers/jetstream.js'
import { driverContract, logContract, recordingSink } from '../../../src/testing/index.js'
import { ADMIN, startNats } from '../../brokers/nats.js'
import type { NatsServer } from '../../brokers/nats.js'
import { clusterSuite } from '../directories/cluster-suite.js'
import { directoryContract } from '../directories/contract.js'
import { JetStreamFixture, jetstreamHarness, LIMITS } from './jetstream-harness.js'
import { NatsFixture, natsHarness } from './nats-harness.js'

const library = '@nats-io/transport-node'

describe('with the current NATS server', () => {
  describe('natsDriver keeps the contract', () => {
    const fixture = new NatsFixture()
    const { harness, end } = natsHarness(fixture, library, connect, 'address')
    beforeAll(() => fixture.start({ current: true }))
    afterAll(end)
    afterAll(() => fixture.stop())

    for (const { name, run } of driverContract(harness)) test(name, run)
  })

  describe('jetstreamDriver', () => {
    const fixture = new JetStreamFixture()
    const { harness, end } = jetstreamHarness(fixture, library, connect, 'address')
    beforeAll(() => fixture.start({ current: true }))
    afterAll(end)
    afterAll(() => fixture.stop())

    describe('keeps the contract', () => {
      for (const { name, run } of driverContract(harness)) test(name, run)
      for (const { name, run } of logContract(harness)) test(name, run)
    })

    test('several filters keep the rest of the stream on the server, also after a break', async () => {
      await fixture.stream({ name: 'S', subjects: ['s.>'] })
      const filter = ['s.a.>', 's.b']
      const driver = jetstreamDriver(fixture.url, { stream: 'S', filter, connect, ...LIMITS })
      try {
        const sink = recordingSink()
        await driver.subscribe('s.>', sink)
        await expect(driver.subscribe('s.c', recordingSink())).rejects.toThrow('The filter')
        for (const subject of ['s.a.1', 's.c', 's.b', 's.a.2']) {
          await fixture.publish(subject, subject)
        }
        await sink.received(3)
        fixture.link.cut()
        await fixture.publish('s.c', 's.c')
        await fixture.publish('s.b', 'after')
        await sink.until('what came after the break', () => sink.texts().includes('after'))
        expect(sink.texts()).toEqual(['s.a.1', 's.b', 's.a.2', 'after'])
        expect(sink.count('gap')).toBe(0)
      } finally {
        await driver.close()
      }
    })
  })

  describe('natsDirectory', () => {
    let nats: NatsServer
    beforeAll(async () => {
      nats = await startNats({ jetstream: true, current: true })
    })
    afterAll(() => nats.stop())
    // The contract ends with servers that are gone, and still count for as long as their lease.
    const make = (bucket: string) => () =>
      natsDirectory({ servers: nats.url, ...ADMIN }, { connect, bucket, lease: 900 })

    for (const { name, run } of directoryContract(make('contract'))) test(name, run)
    for (const { name, run } of clusterSuite(make('cluster'))) test(name, run)
  })
})
