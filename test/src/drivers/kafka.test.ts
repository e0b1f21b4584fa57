import * as kafkaJs from 'kafkajs'
import { readMessages } from '../../../src/drivers/kafka/kafkajs-records.js'
import type { KafkaMessage } from '../../../src/drivers/kafka/wire.js'
import { messageFilter } from '../../../src/drivers/kafka/transactions.js'
import { Lane } from '../../../src/drivers/kafka/node.js'
import { Partition, TopicReader } from '../../../src/drivers/kafka/topic-reader.js'
import { kafkaDriver } from '../../../src/drivers/kafka.js'
import type { KafkaConnectOptions, KafkaDriverOptions } from '../../../src/drivers/kafka.js'
import { recordingSink } from '../../../src/testing/index.js'
import { BAD_NAMES } from './kafka-harness.js'

const { Kafka } = kafkaJs
const brokers = ['127.0.0.1:1']

describe('kafkaDriver refuses at once', () => {
  test.each([
    [''],
    ['kafka://'],
    ['http://127.0.0.1:9092'],
    ['kafka://host:port'],
    ['kafka://host:99999'],
    ['kafka://a:9092,,b:9092'],
    ['kafka://user@host:9092'],
    ['kafka://host:9092/path'],
    [{ brokers: [] }],
    [{ brokers: 'a:9092' }],
    [{ brokers: [42] }],
    [{}],
    [undefined],
    [null],
    [42],
  ])('%j as an address', (target) => {
    const make = () => kafkaDriver(target as KafkaConnectOptions)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(/Kafka of kafkajs.*kafka:\/\/host:port.*{ brokers }/)
  })

  test('and keeps the password of a bad address to itself', () => {
    expect(() => kafkaDriver('http://ann:s3cret@127.0.0.1')).toThrow(/^(?!.*s3cret)/)
  })

  test('a client that only looks like that of kafkajs 2.2.4', () => {
    const member = () => undefined
    const other = { producer: member, consumer: member, admin: member, logger: member }
    expect(() => kafkaDriver(other)).toThrow(/2\.2\.4/)
  })

  test.each([
    [{ encoding: 'latin1' }, 'encoding'],
    [{ subscribeTimeout: 0 }, 'subscribeTimeout'],
    [{ connectTimeout: Infinity }, 'connectTimeout'],
    [{ responseTimeout: -1 }, 'responseTimeout'],
    [{ maxWait: NaN }, 'maxWait'],
    [{ metadataInterval: '1s' }, 'metadataInterval'],
    [{ address: 'orders' }, 'address'],
    [{ library: 'kafkajs' }, 'library'],
    [{ sources: [] }, 'sources'],
    [{ sources: ['a'] }, 'sources and route'],
    [{ route: () => 'a' }, 'sources and route'],
    [{ groupId: 'x' }, 'groupId'],
  ])('%p as options', (options, name) => {
    const make = () => kafkaDriver({ brokers }, options as KafkaDriverOptions)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(name)
  })

  test('a source that Kafka cannot hold', () => {
    const make = () => kafkaDriver({ brokers }, { sources: ['a b'], route: () => 'x' })
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_TOPIC_NAME' }))
  })
})

describe('kafkaDriver by address', () => {
  test.each([
    ['localhost', { brokers: ['localhost:9092'] }],
    ['kafka://a:1,b', { brokers: ['a:1', 'b:9092'] }],
    ['kafka+ssl://a:1', { brokers: ['a:1'], ssl: true }],
    [
      'kafka://ann:p%40ss:word@a:1',
      {
        brokers: ['a:1'],
        sasl: { mechanism: 'plain', username: 'ann', password: 'p@ss:word' },
      },
    ],
    [
      { brokers: ['[::1]'], clientId: 'mine' },
      { brokers: ['[::1]:9092'], clientId: 'mine' },
    ],
  ])('%j is taken apart', async (target, expected) => {
    const made = jest.fn()
    class Spy extends Kafka {
      constructor(config: ConstructorParameters<typeof Kafka>[0]) {
        made(config)
        super({ ...config, brokers })
      }
    }
    const driver = kafkaDriver(target, { library: { Kafka: Spy } })
    await expect(driver.connect()).rejects.toThrow('127.0.0.1:1')
    expect(made).toHaveBeenCalledWith(expect.objectContaining(expected))
    await driver.close()
  })

  test('nobody there is said at once, with each address and its reason, again and again', async () => {
    const driver = kafkaDriver({ brokers: ['127.0.0.1:1', '127.0.0.1:2'] })
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(driver.subscribe('x', recordingSink())).rejects.toThrow(
        /127\.0\.0\.1:\d \(.*ECONNREFUSED.*\), 127\.0\.0\.1:\d \(.*ECONNREFUSED/,
      )
    }
    await driver.close()
  })

  test('a name that Kafka cannot hold never reaches it, and the rule is named', async () => {
    const driver = kafkaDriver({ brokers })
    for (const name of BAD_NAMES) {
      await expect(driver.subscribe(name, recordingSink())).rejects.toMatchObject({
        code: 'ERR_UNIFROST_TOPIC_NAME',
        message: expect.stringContaining('the name of a Kafka topic') as string,
      })
    }
    await driver.close()
  })

  test('a name that address makes is held to the same rule', async () => {
    const driver = kafkaDriver({ brokers }, { address: (topic) => `all ${topic}` })
    await expect(driver.subscribe('x', recordingSink())).rejects.toThrow(
      'Topic "x", read from "all x", can\'t be read from Kafka',
    )
    await driver.close()
  })

  test('without a library the error names the commands that install one', async () => {
    jest.resetModules()
    for (const name of ['kafkajs', '@platformatic/kafka']) {
      jest.doMock(name, () => {
        const message = `Cannot find module '${name}'`
        throw Object.assign(new Error(message), { code: 'MODULE_NOT_FOUND' })
      })
    }
    const fresh = await import('../../../src/drivers/kafka.js')
    const driver = fresh.kafkaDriver('localhost')
    await expect(driver.connect()).rejects.toThrow('npm install kafkajs@2.2.4')
    await driver.close()
    jest.resetModules()
    jest.dontMock('kafkajs')
    jest.dontMock('@platformatic/kafka')
  })
})

describe('of the records of an answer', () => {
  const record = (offset: number, producer: string, kind = {}) => ({
    offset: BigInt(offset),
    producer,
    transactional: true,
    control: false,
    key: null,
    ...kind,
  })
  const end = (aborted: boolean) => ({
    control: true,
    key: Buffer.from([0, 0, 0, aborted ? 0 : 1]),
  })

  test('those of aborted transactions are no messages, nor are the ends of any', () => {
    const isMessage = messageFilter([
      { producer: 'b', first: 3n },
      { producer: 'a', first: 0n },
    ])
    const records = [
      record(0, 'a'),
      record(1, 'c'),
      record(2, 'a', end(true)),
      record(3, 'b'),
      record(4, 'a'),
      record(5, 'b', { transactional: false }),
      record(6, 'a', end(false)),
      record(7, 'b', { key: Buffer.alloc(4) }),
      record(8, 'b', end(true)),
      record(9, 'b'),
    ]
    expect(records.filter(isMessage).map(({ offset }) => Number(offset))).toEqual([1, 4, 5, 9])
  })
})

// asked: from 0 ──────────────▶ answer: 0
//              moved elsewhere ▶ read there: 0      so that the answer would be a double
test('an answer to a question from before a partition moved is none', async () => {
  const sink = recordingSink()
  const events = { ...sink, message: ({ value }: KafkaMessage) => sink.message(String(value)) }
  const reader = new TopicReader('x', events, false)
  const partition = new Partition(reader, 0, 0n)
  const value = Buffer.from('double')
  const message = {
    topic: 'x',
    partition: 0,
    offset: 0n,
    timestamp: 0,
    key: null,
    value,
    headers: {},
  }
  const answers = [{ topic: 'x', partition: 0, error: 0, messages: [message], next: 1n }]
  const rested = new Promise<void>((rest) => {
    const ask = async () => {
      partition.park()
      return answers
    }
    const closing = new AbortController().signal
    const heard = () => rest()
    const events = { heard, refused: jest.fn(), unreadable: jest.fn(), lost: jest.fn() }
    new Lane({ link: { use: ask } as never, events, closing, wait: 0 }).add(partition)
  })
  await rested
  expect(sink.entries).toEqual([])
  expect(partition.next).toBe(0n)
})

describe('offsets that neither a message nor a record of the broker has were compacted', () => {
  const raw = (offset: number, control = false) => ({
    offset: String(offset),
    timestamp: '0',
    key: control ? Buffer.from([0, 0, 0, 1]) : null,
    value: Buffer.from(String(offset)),
    isControlRecord: control,
    batchContext: {
      firstOffset: String(offset),
      lastOffsetDelta: 0,
      producerId: '1',
      inTransaction: control,
    },
  })

  test.each<[string, number, ReturnType<typeof raw>[], bigint[]]>([
    ['nothing is missing', 3, [raw(3), raw(4), raw(5)], []],
    ['a record of the broker is none', 3, [raw(3), raw(4, true), raw(5)], []],
    ['a batch that begins before what was asked for', 4, [raw(3), raw(4)], []],
    ['at the beginning', 2, [raw(5), raw(6)], [5n]],
    ['between two', 3, [raw(3), raw(6), raw(9)], [6n, 9n]],
  ])('kafkajs: %s', (_, from, records, holes) => {
    expect(readMessages('t', 0, BigInt(from), records, []).holes).toEqual(holes)
  })

  test('at the end of a batch', () => {
    const last = raw(3)
    last.batchContext.lastOffsetDelta = 4
    const { holes, next } = readMessages('t', 0, 3n, [last], [])
    expect({ holes, next }).toEqual({ holes: [8n], next: 8n })
  })

  test.each([
    [false, ['1', 'gap', '4', 'gap']],
    [true, ['1', '4']],
  ])('the gap stands before the next message; with ignoreCompaction %s', (ignore, expected) => {
    const got: string[] = []
    const reader = new TopicReader(
      't',
      {
        message: ({ value }) => got.push(String(value)),
        gap: () => got.push('gap'),
        fail: () => got.push('fail'),
      },
      ignore,
    )
    const messages = readMessages('t', 0, 1n, [raw(1), raw(4)], []).messages
    const answer = { topic: 't', partition: 0, error: 0, messages, next: 9n, holes: [3n, 4n, 9n] }
    reader.take(new Partition(reader, 0, 1n), answer)
    expect(got).toEqual(expected)
  })
})
