/** @needs a Kafka that may be stopped and started */
import { readFileSync } from 'node:fs'
import * as kafkaJs from 'kafkajs'
import { CompressionTypes, Kafka, logLevel } from 'kafkajs'
import { kafkaDriver } from '../../../src/drivers/kafka.js'
import type { KafkaDriver, KafkaDriverOptions } from '../../../src/drivers/kafka.js'
import { recordingSink, until } from '../../../src/testing/index.js'
import type { RecordingSink } from '../../../src/testing/index.js'
import { newCluster, READER, startKafka } from '../../brokers/kafka.js'
import { freePort } from '../../brokers/process.js'
import { openEvents } from '../../support/event-stream.js'
import { startScript } from '../../support/script.js'
import { DENIED, KafkaFixture, QUICK } from './kafka-harness.js'

const BOUND = 30_000

/** As little as makes it Snappy: a length, and up to 60 bytes as they are. */
function snappy(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([bytes.length, (bytes.length - 1) << 2]), bytes])
}

describe('kafkaDriver on Kafka', () => {
  const fixture = new KafkaFixture()
  const toClose: { close(): Promise<void> }[] = []

  beforeAll(() => fixture.start())
  afterEach(async () => {
    for (const it of toClose.splice(0).reverse()) await it.close()
  })
  afterAll(() => fixture.stop())

  function made(
    options: KafkaDriverOptions = {},
    target: Parameters<typeof kafkaDriver>[0] = fixture.options,
  ): KafkaDriver {
    const driver = kafkaDriver(target, { ...QUICK, ...options })
    toClose.push(driver)
    return driver
  }

  async function opened(topic: string, options: KafkaDriverOptions = {}): Promise<RecordingSink> {
    const sink = recordingSink()
    await made(options).subscribe(topic, sink)
    return sink
  }

  const server = () => fixture.server as NonNullable<typeof fixture.server>
  const deleteTopic = (topic: string) => fixture.admin.deleteTopics({ topics: [topic] })

  describe('reads', () => {
    test('every partition, each in its order', async () => {
      await fixture.create('parts', 5)
      const sink = await opened('parts')
      const sent = Array.from({ length: 200 }, (_, index) => [index % 5, index] as const)
      const messages = sent.map(([partition, index]) => ({
        partition,
        value: `${partition}:${index}`,
      }))
      await fixture.send('parts', messages)
      await sink.received(200, BOUND)
      for (let partition = 0; partition < 5; partition++) {
        const of = (text: string) => text.startsWith(`${partition}:`)
        const expected = messages.map(({ value }) => value).filter(of)
        expect(sink.texts().filter(of)).toEqual(expected)
      }
    })

    test('partitions that are added later, from their first message on', async () => {
      await fixture.create('grows', 1)
      const sink = await opened('grows', { metadataInterval: 300 })
      await fixture.admin.createPartitions({ topicPartitions: [{ topic: 'grows', count: 3 }] })
      const send = () => fixture.publish('grows', 'in 2', 2).then(() => true)
      await until('the partition takes messages', () => send().catch(() => false), BOUND)
      await sink.until('the message', () => sink.texts().includes('in 2'), BOUND)
      expect(sink.count('gap')).toBe(0)
    })

    test('1 MiB, nothing, and what is not UTF-8; a tombstone is empty', async () => {
      const topic = await fixture.topic()
      const sink = await opened(topic)
      const values = [
        Buffer.alloc(1_048_576, 'x'),
        Buffer.alloc(0),
        Buffer.from([0xff, 0xc3]),
        null,
      ]
      for (const value of values) await fixture.send(topic, [{ value }])
      await sink.received(values.length, BOUND)
      // One by one, since Jest compares bytes like a list of numbers.
      sink.entries.forEach((entry, index) => {
        const payload = entry.type === 'message' ? entry.payload : undefined
        expect(payload?.equals(values[index] ?? Buffer.alloc(0))).toBe(true)
      })
    })

    test('compressed batches', async () => {
      const topic = await fixture.topic()
      const sink = await opened(topic)
      const producer = fixture.kafka.producer()
      toClose.push({ close: () => producer.disconnect() })
      await producer.connect()
      const messages = ['a', 'b', 'c'].map((value) => ({ value }))
      await producer.send({ topic, messages, compression: CompressionTypes.GZIP })
      await sink.received(3, BOUND)
      expect(sink.texts()).toEqual(['a', 'b', 'c'])
    })

    test('what was committed, and nothing that was aborted', async () => {
      const topic = await fixture.topic()
      const sink = await opened(topic)
      const kafka = new kafkaJs.Kafka({
        brokers: [`127.0.0.1:${server().direct}`],
        logLevel: kafkaJs.logLevel.NOTHING,
        // Kafka makes what it needs for transactions with the first one.
        retry: { retries: 20 },
      })
      const producer = kafka.producer({
        transactionalId: 'test',
        maxInFlightRequests: 1,
        idempotent: true,
      })
      toClose.push({ close: () => producer.disconnect() })
      await producer.connect()
      for (const [text, end] of [
        ['no', 'abort'],
        ['yes', 'commit'],
        ['never', 'abort'],
      ] as const) {
        const transaction = await producer.transaction()
        await transaction.send({ topic, messages: [{ value: text }, { value: `${text}!` }] })
        await fixture.publish(topic, `beside ${text}`)
        await transaction[end]()
      }
      await fixture.publish(topic, 'end')
      await sink.until('the end', () => sink.texts().includes('end'), BOUND)
      expect(sink.texts()).toEqual([
        'beside no',
        'yes',
        'yes!',
        'beside yes',
        'beside never',
        'end',
      ])
    })

    test('what cannot be decoded ends its topic, and no other', async () => {
      const [bad, good] = [await fixture.topic(), await fixture.topic()]
      const driver = made()
      const sinks = [recordingSink(), recordingSink()] as const
      await driver.subscribe(bad, sinks[0])
      await driver.subscribe(good, sinks[1])
      kafkaJs.CompressionCodecs[CompressionTypes.Snappy] = () => ({
        compress: async ({ buffer }: { buffer: Buffer }) => snappy(buffer),
        decompress: () => Promise.reject(new Error('not this one')),
      })
      const producer = fixture.kafka.producer()
      toClose.push({ close: () => producer.disconnect() })
      await producer.connect()
      const messages = [{ value: 'x' }]
      await producer.send({ topic: bad, messages, compression: CompressionTypes.Snappy })
      await sinks[0].until('fail', (sink) => sink.count('fail') === 1, BOUND)
      expect(sinks[0].entries[0]).toMatchObject({
        error: { message: expect.stringMatching(/decoded \(not this one\).*codec/) as string },
      })
      await fixture.publish(good, 'fine')
      await sinks[1].received(1, BOUND)
      expect(sinks[1].texts()).toEqual(['fine'])
    })
  })

  describe('with address, payload, sources and route', () => {
    test('a topic is read from the Kafka topic that address gives', async () => {
      const topic = await fixture.topic()
      const sink = await opened('anything at all', { address: () => topic })
      await fixture.publish(topic, 'this')
      await sink.received(1, BOUND)
    })

    test('payload makes what is sent of a message', async () => {
      const topic = await fixture.topic()
      const sink = await opened(topic, {
        payload: ({ topic: from, partition, offset, key, headers, timestamp }) =>
          [from, partition, offset, key, headers['kind'], headers['none'], timestamp]
            .map(String)
            .join(' '),
      })
      const headers = { kind: ['first', 'last'] }
      await fixture.send(topic, [{ key: 'k', value: 'v', headers, timestamp: '1234' }])
      await fixture.send(topic, [{ value: 'v', timestamp: '1235' }])
      await sink.received(2, BOUND)
      expect(sink.texts()).toEqual([
        `${topic} 0 0 k last undefined 1234`,
        `${topic} 0 1 null undefined undefined 1235`,
      ])
    })

    test('100,000 topics of one Kafka topic, by key, cost no more than one', async () => {
      await fixture.create('users', 3)
      const before = await server().connections()
      const driver = made({
        sources: ['users'],
        route: ({ key, headers }) => headers['to']?.toString().split(',') ?? key?.toString(),
      })
      const sinks = Array.from({ length: 100_000 }, () => recordingSink())
      const subscriptions = await Promise.all(
        sinks.map((sink, user) => driver.subscribe(`user.${user}`, sink)),
      )
      expect((await server().connections()) - before).toBe(2)
      const messages = sinks.map((_, user) => ({
        key: `user.${user}`,
        value: `for ${user}`,
        partition: user % 3,
      }))
      while (messages.length > 0) await fixture.send('users', messages.splice(0, 10_000))
      await fixture.send('users', [
        { key: 'nobody', value: 'dropped', partition: 0 },
        { value: 'without key', partition: 0 },
        { value: 'both', partition: 0, headers: { to: 'user.0,user.3' } },
      ])
      await sinks[3]?.received(2, BOUND)
      await Promise.all(sinks.map((sink) => sink.received(1, BOUND)))
      expect(sinks[3]?.texts()).toEqual(['for 3', 'both'])
      expect(sinks[0]?.texts()).toEqual(['for 0', 'both'])
      expect(sinks.every((sink, user) => sink.texts()[0] === `for ${user}`)).toBe(true)
      await Promise.all(subscriptions.map((subscription) => subscription.close()))
    })

    test('a route that throws is a gap, and the next message arrives', async () => {
      const topic = await fixture.topic()
      const route = ({ value }: { value: Buffer | null }) => {
        if (String(value) === 'bad') throw new Error('no route')
        return 'ours'
      }
      const sink = await opened('ours', { sources: [topic], route })
      await fixture.publish(topic, 'bad')
      await fixture.publish(topic, 'good')
      await sink.received(1, BOUND)
      expect(sink.entries.map(({ type }) => type)).toEqual(['gap', 'message'])
    })
  })

  describe('when something is wrong', () => {
    test('a Kafka that is started later is found by the next subscribe', async () => {
      const port = await freePort()
      const driver = made({}, `kafka://127.0.0.1:${port}`)
      await expect(driver.connect()).rejects.toThrow(`127.0.0.1:${port}`)
      await expect(driver.subscribe('x', recordingSink())).rejects.toThrow('Start it, or correct')
      const late = await startKafka({ direct: port })
      try {
        await driver.connect()
        const absent = driver.subscribe('x', recordingSink())
        await expect(absent).rejects.toThrow(/has no topic "x".*Create it/)
      } finally {
        await driver.close()
        await late.stop()
      }
    })

    test('wrong credentials are named as the reason', async () => {
      const sasl = { mechanism: 'plain', ...READER, password: 'wrong' } as const
      const driver = made({}, { ...fixture.options, sasl })
      await expect(driver.connect()).rejects.toThrow(/refused the credentials.*Authentication/)
      const subscribing = driver.subscribe('x', recordingSink())
      await expect(subscribing).rejects.toThrow(/refused the credentials/)
    })

    test('what the user gave is not written to, and may be frozen', async () => {
      const sasl = Object.freeze({ mechanism: 'plain', ...READER } as const)
      await made({}, { ...fixture.options, sasl }).connect()
      const mine = { mechanism: 'plain', ...READER } as const
      await made({}, { ...fixture.options, sasl: mine }).connect()
      expect(mine).toEqual({ mechanism: 'plain', ...READER })
    })

    test('a topic that may not be read, or not even seen, says what to allow', async () => {
      const driver = made()
      for (const denied of [DENIED.read, DENIED.all]) {
        const subscribing = driver.subscribe(denied, recordingSink())
        await expect(subscribing).rejects.toThrow(/TOPIC_AUTHORIZATION_FAILED.*operation Read/)
      }
    })

    test('the permission that the docs name is enough where nothing else is allowed', async () => {
      const page = readFileSync('docs/drivers/kafka.md', 'utf8')
      const [, principal = '', operation = '', resourceName = ''] =
        /kafka-acls\.sh .* --allow-principal (\S+) --operation (\S+) --topic (\S+)$/m.exec(page) ??
        []
      expect([principal, operation]).toEqual([`User:${READER.username}`, 'Read'])
      const strict = await startKafka({ config: 'allow.everyone.if.no.acl.found=false' })
      toClose.push({ close: () => strict.stop() })
      const brokers = [`127.0.0.1:${strict.direct}`]
      const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING })
      const [admin, producer] = [kafka.admin(), kafka.producer()]
      toClose.push({ close: () => admin.disconnect() }, { close: () => producer.disconnect() })
      await Promise.all([admin.connect(), producer.connect()])
      const topics = [resourceName, 'other'].map((topic) => ({ topic, numPartitions: 1 }))
      await admin.createTopics({ topics, waitForLeaders: true })
      const allow = { resourceType: 2, resourcePatternType: 3, host: '*', permissionType: 3 }
      await admin.createAcls({ acl: [{ ...allow, principal, resourceName, operation: 3 }] })

      const sasl = { mechanism: 'plain' as const, ...READER }
      const driver = made({}, { brokers: [`127.0.0.1:${strict.guarded}`], sasl })
      const sink = recordingSink()
      const subscription = await driver.subscribe(resourceName, sink)
      await producer.send({ topic: resourceName, messages: [{ value: 'x' }] })
      await sink.received(1, BOUND)
      await subscription.close()
      const elsewhere = driver.subscribe('other', recordingSink())
      await expect(elsewhere).rejects.toThrow('TOPIC_AUTHORIZATION_FAILED')
    })

    test('a permission that is withdrawn ends that topic and no other', async () => {
      const [ended, kept] = [await fixture.topic(), await fixture.topic()]
      const driver = made()
      const sinks = [recordingSink(), recordingSink()] as const
      await driver.subscribe(ended, sinks[0])
      await driver.subscribe(kept, sinks[1])
      const entry = { resourceType: 2, resourcePatternType: 3, host: '*' }
      const who = { principal: `User:${READER.username}`, resourceName: ended }
      await fixture.admin.createAcls({
        acl: [{ ...entry, ...who, operation: 3, permissionType: 2 }],
      })
      await sinks[0].until('fail', (sink) => sink.count('fail') === 1, BOUND)
      await fixture.publish(kept, 'still here')
      await sinks[1].received(1, BOUND)
      expect(sinks[1].entries).toHaveLength(1)
    })

    test('a topic that is deleted fails, and the others go on', async () => {
      const [gone, kept] = [await fixture.topic(), await fixture.topic()]
      const driver = made()
      const sinks = [recordingSink(), recordingSink()] as const
      await driver.subscribe(gone, sinks[0])
      await driver.subscribe(kept, sinks[1])
      await deleteTopic(gone)
      await sinks[0].until('fail', (sink) => sink.count('fail') === 1, BOUND)
      expect(sinks[0].entries.at(-1)).toMatchObject({
        error: { message: expect.stringContaining('has been deleted') as string },
      })
      await fixture.publish(kept, 'still here')
      await sinks[1].received(1, BOUND)
      expect(sinks[1].entries).toHaveLength(1)
    })

    test('a topic that is deleted and made anew at once goes on, after a gap', async () => {
      const topic = await fixture.topic()
      const sink = await opened(topic, { responseTimeout: 20_000 })
      for (const text of ['1', '2', '3']) await fixture.publish(topic, text)
      await sink.received(3, BOUND)
      await deleteTopic(topic)
      const create = () => fixture.create(topic).then(() => true)
      await until('the topic is there again', () => create().catch(() => false), BOUND)
      await sink.until('a gap', () => sink.count('gap') > 0, BOUND)
      await fixture.publish(topic, 'anew')
      await sink.until('the message', () => sink.texts().includes('anew'), BOUND)
    })

    test('messages that Kafka throws away before they are read are a gap', async () => {
      const topic = await fixture.topic()
      const sink = await opened(topic, { responseTimeout: 3_000 })
      await fixture.publish(topic, 'read')
      await sink.received(1, BOUND)
      // The driver sees nothing of the broker while this happens.
      fixture.link.stall()
      for (const text of ['lost', 'lost too', 'kept']) await fixture.publish(topic, text)
      const partitions = [{ partition: 0, offset: '3' }]
      const deleting = () => fixture.admin.deleteTopicRecords({ topic, partitions })
      const done = () =>
        deleting().then(
          () => true,
          () => false,
        )
      await until('the records are deleted', done, BOUND)
      await sink.until('the message', () => sink.texts().includes('kept'), BOUND)
      expect(sink.entries.map(({ type }) => type)).toEqual(['message', 'gap', 'message'])
    })

    test('a link that is cut again and again costs nothing', async () => {
      const topics = [await fixture.topic(), await fixture.topic()]
      const driver = made()
      const sinks = topics.map(() => recordingSink())
      await Promise.all(sinks.map((sink, index) => driver.subscribe(topics[index] as string, sink)))
      // 100 batches of 20 to each of two topics, with a cut after every tenth.
      let number = 0
      const sent: string[] = []
      for (let batch = 0; batch < 100; batch++) {
        const messages = Array.from({ length: 20 }, () => ({ value: String(++number) }))
        sent.push(...messages.map(({ value }) => value))
        for (const topic of topics) await fixture.send(topic, messages)
        if (batch % 10 === 5) fixture.link.cut()
      }
      for (const sink of sinks) {
        await sink.received(sent.length, BOUND)
        expect(sink.texts()).toEqual(sent)
        expect(sink.count('gap')).toBe(0)
      }
    })

    test('one topic more does not disturb those that are open', async () => {
      const [busy, ...others] = await Promise.all(Array.from({ length: 10 }, () => fixture.topic()))
      const driver = made({ maxWait: 30_000 })
      const sink = recordingSink()
      await driver.subscribe(busy as string, sink)
      const before = await server().connections()
      for (const other of others) {
        const one = recordingSink()
        await driver.subscribe(other, one)
        await fixture.publish(other, 'at once')
        // Less than the thirty seconds for which the broker holds the question for the first topic.
        await one.received(1, 15_000)
      }
      await fixture.publish(busy as string, 'x')
      await sink.received(1, BOUND)
      // Read together, they need as many connections as one.
      const together = async () => (await server().connections()) === before
      await until('the connection for what is new is gone', together, BOUND)
      expect(sink.entries).toHaveLength(1)
    })

    test('a topic under load is handed from one question to the next without a double', async () => {
      const [first, ...topics] = await Promise.all(
        Array.from({ length: 13 }, () => fixture.topic()),
      )
      const driver = made({ maxWait: 40 })
      await driver.subscribe(first as string, recordingSink())
      for (const topic of topics) {
        const sink = recordingSink()
        const subscription = await driver.subscribe(topic, sink)
        const sent = Array.from({ length: 60 }, (_, index) => String(index))
        for (const text of sent) await fixture.publish(topic, text)
        await sink.received(sent.length, BOUND)
        await subscription.close()
        expect(sink.texts()).toEqual(sent)
      }
    })

    test('nothing of a closed driver is left, with a frozen Kafka too', async () => {
      const topic = await fixture.topic()
      const before = await server().connections()
      const drivers = [made(), made()]
      for (const driver of drivers) await driver.subscribe(topic, recordingSink())
      await server().process.freeze()
      try {
        const from = performance.now()
        const subscribing = drivers[1]?.subscribe('x', recordingSink()).catch(() => undefined)
        await Promise.all(drivers.map((driver) => driver.close()))
        await subscribing
        expect(performance.now() - from).toBeLessThan(15_000)
      } finally {
        server().process.thaw()
      }
      const gone = async () => (await server().connections()) <= before
      await until('the connections are gone', gone, BOUND)
      expect((await fixture.admin.listGroups()).groups).toEqual([])
    })
  })

  test('another leader of a partition costs nothing', async () => {
    const cluster = await newCluster()
    const first = await startKafka({ cluster })
    const second = await startKafka({ joins: cluster })
    const kafka = new kafkaJs.Kafka({
      brokers: [`127.0.0.1:${first.direct}`],
      logLevel: kafkaJs.logLevel.NOTHING,
    })
    const admin = kafka.admin()
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    try {
      await admin.connect()
      await producer.connect()
      const both = async () => (await admin.describeCluster()).brokers.length === 2
      await until('both brokers', both, BOUND)
      const replicaAssignment = [{ partition: 0, replicas: [1] }]
      const topics = [{ topic: 'moves', replicaAssignment }]
      await admin.createTopics({ topics, waitForLeaders: true })
      const driver = made({}, `kafka://127.0.0.1:${first.direct}`)
      const sink = recordingSink()
      await driver.subscribe('moves', sink)
      let sent = 0
      const leader = async () => {
        const { topics } = await admin.fetchTopicMetadata({ topics: ['moves'] })
        await producer.send({ topic: 'moves', messages: [{ value: String(sent++) }] })
        return topics[0]?.partitions[0]?.leader
      }
      for (const replica of [2, 1]) {
        await sink.received(sent, BOUND)
        const partitionAssignment = [{ partition: 0, replicas: [replica] }]
        await admin.alterPartitionReassignments({
          topics: [{ topic: 'moves', partitionAssignment }],
        })
        await until('the new leader', async () => (await leader()) === replica, BOUND)
        await leader()
      }
      await sink.received(sent, BOUND)
      expect(sink.texts()).toEqual(Array.from({ length: sent }, (_, index) => String(index)))
      expect(sink.count('gap')).toBe(0)
      await driver.close()
    } finally {
      await producer.disconnect()
      await admin.disconnect()
      await second.stop()
      await first.stop()
    }
  })

  test('the example publishes and shows', async () => {
    const script = await startScript('examples/kafka.ts', {
      KAFKA_BROKERS: `127.0.0.1:${server().direct}`,
    })
    try {
      const events = await openEvents(`${script.url}/events?topic=user.1`)
      const event = await events.next('a message', ({ event }) => event === 'user.1')
      expect(JSON.parse(event.data)).toMatchObject({ user: 1 })
    } finally {
      expect(await script.stop()).toBe(0)
    }
  })
})
