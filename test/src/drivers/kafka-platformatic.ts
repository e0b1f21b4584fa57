// Runs the contract with @platformatic/kafka, as a process of its own: the library is made of ES
// modules, and its version 2 needs a newer Node than the tests.
//
//   node --import tsx test/src/drivers/kafka-platformatic.ts MODULE address|client
//
// Each case is told in a line of JSON, with its name and what went wrong, if anything did.
import type { PlatformaticClient, PlatformaticModule } from '../../../src/drivers/kafka.js'
import { driverContract } from '../../../src/testing/index.js'
import { measureDriver } from './figures.js'
import type { BroughtClient, Target } from './kafka-harness.js'
import { FIGURES, kafkaFigures, KafkaFixture, kafkaHarness, PATIENT } from './kafka-harness.js'

interface Module extends PlatformaticModule {
  Consumer: new (options: object) => PlatformaticClient & {
    metadata(options: object): Promise<unknown>
    close(): Promise<void>
  }
}

const [, , path = '@platformatic/kafka', target = 'address'] = process.argv
const library = (await import(path)) as Module

async function bring({ brokers, sasl }: KafkaFixture['options']): Promise<BroughtClient> {
  const client = new library.Consumer({
    clientId: 'user',
    groupId: 'user',
    bootstrapBrokers: brokers,
    ...(sasl && { sasl: { ...sasl, mechanism: 'PLAIN' } }),
  })
  return {
    client,
    check: async () => void (await client.metadata({ topics: [], forceUpdate: true })),
    end: () => client.close(),
  }
}

const fixture = new KafkaFixture()
const tell = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)
await fixture.start()
try {
  const harness = kafkaHarness(fixture, target as Target, library, bring)
  const cases = driverContract(harness).map(({ name, run }) => ({ name, run }))
  if (target === 'address') {
    const title = `Kafka (@platformatic/kafka, Node ${process.versions.node.split('.')[0]})`
    const patient = kafkaHarness(fixture, target, library, bring, PATIENT)
    const run = () => measureDriver(title, 100, patient, kafkaFigures(fixture))
    cases.push({ name: FIGURES, run })
  }
  for (const { name, run } of cases) {
    const error = await run().then(
      () => undefined,
      (error: unknown) => (error as Error).stack ?? String(error),
    )
    tell({ name, error })
  }
} finally {
  await fixture.stop()
}
