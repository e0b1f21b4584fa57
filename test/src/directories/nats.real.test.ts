/** @needs a NATS server with JetStream */
import { connect as connectNewer } from '@nats-io/transport-node'
import { connect as connectOlder } from 'nats'
import { natsDirectory } from '../../../src/directories/nats.js'
import type { NatsConnect } from '../../../src/directories/nats.js'
import type { NatsServer } from '../../brokers/nats.js'
import { ADMIN, startNats } from '../../brokers/nats.js'
import { clusterSuite } from './cluster-suite.js'
import { directoryContract } from './contract.js'

describe('natsDirectory', () => {
  let nats: NatsServer
  beforeAll(async () => {
    nats = await startNats({ jetstream: true })
  })
  afterAll(() => nats.stop())

  const libraries = { nats: connectOlder, 'transport-node': connectNewer } as unknown as Record<
    string,
    NatsConnect
  >
  for (const [library, connect] of Object.entries(libraries)) {
    // The contract ends with servers that are gone, and still count for as long as their lease.
    const make = (cluster: string) => () => {
      const bucket = `${library}-${cluster}`
      return natsDirectory({ servers: nats.url, ...ADMIN }, { connect, bucket, lease: 900 })
    }
    describe(`with ${library}`, () => {
      for (const { name, run } of directoryContract(make('contract'))) test(name, run)
      for (const { name, run } of clusterSuite(make('cluster'))) test(name, run)
    })
  }
})
