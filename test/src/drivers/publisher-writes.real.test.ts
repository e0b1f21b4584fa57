/** @needs NATS, RabbitMQ and Redis servers */
import { connect as connectSocket } from 'node:net'
import { connect as natsConnect, headers as natsHeaders } from '@nats-io/transport-node'
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import type { Options } from 'amqplib'
import type { Driver } from 'unifrost'
import { jetstreamDriver } from '../../../src/drivers/jetstream.js'
import { natsDriver } from '../../../src/drivers/nats.js'
import { rabbitmqDriver } from '../../../src/drivers/rabbitmq.js'
import { redisStreamsDriver } from '../../../src/drivers/redis-streams.js'
import { recordingSink } from '../../../src/testing/index.js'
import { ADMIN as NATS_ADMIN } from '../../brokers/nats.js'
import { JetStreamFixture, LIMITS } from './jetstream-harness.js'
import { libraries } from './nats-harness.js'
import { RabbitmqFixture } from './rabbitmq-harness.js'
import { RedisFixture } from './redis-harness.js'
import { STREAM_LIMITS } from './redis-streams-harness.js'

jest.setTimeout(120_000)

/** How long anything may take on a machine that has other things to do. */
const BOUND = 20_000

const drivers: Driver[] = []
afterEach(async () => {
  for (const driver of drivers.splice(0)) await driver.close()
})

/** Opens a topic, has texts published in strange ways, and expects them all, in order. */
async function expectAll(driver: Driver, topic: string, sending: Iterable<Sending>): Promise<void> {
  drivers.push(driver)
  const sink = recordingSink()
  await driver.subscribe(topic, sink)
  const sent: string[] = []
  for (const send of sending) {
    const text = `message ${sent.length}`
    await send(text)
    sent.push(text)
  }
  await sink.until(`all ${sent.length}`, () => sink.texts().at(-1) === sent.at(-1), BOUND)
  expect(sink.texts()).toEqual(sent)
  expect(sink.entries).toHaveLength(sent.length)
}

/** Publishes a text together with something that is strange. */
type Sending = (text: string) => unknown

describe('on NATS', () => {
  const fixture = new JetStreamFixture()
  let publisher: NatsConnection
  beforeAll(async () => {
    await fixture.start()
    await fixture.stream({ name: 'S', subjects: ['s.>'], allow_direct: true })
    publisher = await natsConnect({ servers: fixture.server!.url, ...NATS_ADMIN })
  })
  afterAll(async () => {
    await publisher.close()
    await fixture.stop()
  })

  /** Names of headers that NATS, JetStream and its consumers give a meaning. */
  const NAMES = [
    ...['Status', 'Description', 'Nats-Consumer-Stalled', 'Nats-Last-Consumer', 'Nats-Last-Stream'],
    ...['Nats-Sequence', 'Nats-Stream', 'Nats-Subject', 'Nats-Time-Stamp', 'Nats-Num-Pending'],
    ...['Nats-Pending-Messages', 'Nats-Pending-Bytes', 'Nats-Request-Info', 'Nats-Service-Error'],
    ...['KV-Operation', 'Nats-Rollup-X', 'Nats-Msg-Size', 'traceparent', '__proto__'],
  ]

  function* strange(subject: string): Generator<Sending> {
    const publish = (text: string, headers?: MsgHdrs, reply?: string) =>
      publisher.publish(subject, text, { ...(headers && { headers }), ...(reply && { reply }) })
    for (const code of [100, 200, 404, 408, 409, 423, 503]) {
      for (const words of ['Idle Heartbeat', 'FlowControl Request', '😀']) {
        yield (text) => publish(text, natsHeaders(code, words))
      }
    }
    for (const name of NAMES) {
      for (const value of ['', '1', 'x'.repeat(5_000), '😀', '$JS.FC.x']) {
        const headers = natsHeaders()
        headers.append(name, value)
        headers.append(name, value)
        yield (text) => publish(text, headers)
      }
    }
    yield (text) => publish(text)
  }

  /** Headers that no library makes, and that the server passes on as they are. */
  const GARBLED = [
    ...['NATS/1.0', 'NATS/1.0 \r\n', 'NATS/1.0 abc def\r\n', 'NATS/1.0 100\r\nno colon\r\n'],
    ...['NATS/1.0\r\n: nameless\r\n', 'NATS/1.0\r\n\0: \xff\r\n', 'HTTP/1.1 100\r\n', '\xff'],
    ...['NATS/1.0 99999999999999999999\r\n', '\r\n\r\n', 'NATS/1.0\r\nA: b\r\n\r\nC: d\r\n'],
  ]

  /** Publishes over a socket of its own, byte for byte. */
  function garbled(subject: string): Sending[] {
    return [...GARBLED, 'NATS/1.0\r\n'].map((lines) => async (text) => {
      const socket = connectSocket(fixture.server!.port, '127.0.0.1')
      const head = Buffer.from(`${lines}\r\n`, 'latin1')
      const { user, pass } = NATS_ADMIN
      socket.write(`CONNECT ${JSON.stringify({ headers: true, verbose: false, user, pass })}\r\n`)
      socket.write(`HPUB ${subject} ${head.length} ${head.length + text.length}\r\n`)
      socket.write(Buffer.concat([head, Buffer.from(`${text}\r\nPING\r\n`)]))
      let said = ''
      for await (const bytes of socket) if ((said += String(bytes)).includes('PONG')) break
      expect(said).not.toContain('-ERR')
    })
  }

  describe.each(libraries)('with %s', (_, connect) => {
    test('whatever a publisher writes, natsDriver hands it over and goes on', async () => {
      const driver = natsDriver(fixture.server!.url, { connect })
      const sending = function* () {
        yield* strange('core')
        // What begins with $JS.ACK the server refuses from a publisher.
        for (const reply of ['core', '_INBOX.x', '$JS.FC.x']) {
          yield (text: string) => publisher.publish('core', text, { reply })
        }
      }
      await expectAll(driver, 'core', sending())
      await expectAll(natsDriver(fixture.server!.url, { connect }), 'bytes', garbled('bytes'))
    })

    test('whatever a publisher writes, jetstreamDriver hands it over and goes on', async () => {
      const options = { stream: 'S', connect, ...LIMITS }
      await expectAll(jetstreamDriver(fixture.server!.url, options), 's.a', strange('s.a'))
      await expectAll(jetstreamDriver(fixture.server!.url, options), 's.g', garbled('s.g'))
      // Stored, it is met by whoever comes later, too.
      const late = jetstreamDriver(fixture.server!.url, options)
      await expectAll(late, 's.>', [(text) => publisher.publish('s.b', text)])
    })
  })
})

describe('on RabbitMQ', () => {
  const fixture = new RabbitmqFixture()
  beforeAll(() => fixture.start(), 300_000)
  afterAll(() => fixture.stop())

  const typed = (type: string, value: unknown) => ({ '!': type, value })
  const HEADERS: Record<string, unknown>[] = [
    { CC: [] },
    { CC: ['written', 'written', 'other'] },
    { BCC: ['other'] },
    { 'x-death': [{ queue: 'x', count: 1 }] },
    { 'x-match': 'all', 'x-delay': -1, 'x-expires': 'x', 'x-stream-offset': 5 },
    { big: typed('int64', Number.MAX_SAFE_INTEGER), small: typed('int8', -1) },
    { float: typed('float', 1.5), double: typed('double', Number.MAX_VALUE), none: null },
    { time: typed('timestamp', 4_000_000_000), bytes: Buffer.from([0, 255]), yes: true },
    { decimal: typed('decimal', { digits: 123, places: 2 }) },
    { nested: { deep: [{ deeper: ['x'] }] }, ['x'.repeat(255)]: 'y'.repeat(10_000) },
    JSON.parse('{"__proto__": "x", "constructor": "y", "toString": "z"}') as Record<
      string,
      unknown
    >,
  ]
  const PROPERTIES: Options.Publish[] = [
    { contentType: '', contentEncoding: 'gzip', type: 'amqp.cancel', appId: 'x'.repeat(255) },
    {
      deliveryMode: 2,
      priority: 255,
      timestamp: 2 ** 52,
      messageId: '\0',
      correlationId: '\ufffd',
    },
    { replyTo: 'amq.rabbitmq.reply-to.x', expiration: '600000', mandatory: true },
  ]

  const addresses = ['direct', 'topic', 'fanout'] as const
  test.each(addresses)(
    'whatever a publisher writes on a %s exchange, it is handed over once, and all goes on',
    async (exchangeType) => {
      const exchange = `unifrost-written-${exchangeType}`
      const address = () => ({ exchange, routingKey: 'written' })
      const driver = rabbitmqDriver(fixture.url, { exchange, exchangeType, address })
      const sending = function* (): Generator<Sending> {
        for (const headers of [...HEADERS, undefined]) {
          const options = { ...(headers && { headers }) }
          yield (text) => fixture.publisher.publish(exchange, 'written', text, options)
        }
        for (const options of PROPERTIES) {
          yield (text) => fixture.publisher.publish(exchange, 'written', text, options)
        }
      }
      await expectAll(driver, 'written', sending())
    },
  )
})

describe('on Redis', () => {
  const fixture = new RedisFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  const EXTRA: string[][] = [
    [],
    ['', ''],
    ['__proto__', 'x', 'constructor', 'y', 'toString', 'z'],
    ['topic', 'x', 'id', '0-0', 'MAXLEN', '1'],
    ['\0', '\xff', '😀', '\ud800'],
    ['x'.repeat(10_000), 'y'.repeat(100_000)],
    ['data', 'the first of two'],
  ]
  const add = (stream: string, ...fields: string[]) =>
    fixture.command('XADD', stream, '*', ...fields)

  test('whatever fields a publisher writes, redisStreamsDriver hands the entry over and goes on', async () => {
    const driver = redisStreamsDriver(fixture.url, STREAM_LIMITS)
    const sending = EXTRA.map(
      (extra): Sending =>
        (text) =>
          add('written', ...extra, 'data', text),
    )
    await expectAll(driver, 'written', sending)
  })

  test('an entry that has nothing to send is told, and all goes on', async () => {
    const driver = redisStreamsDriver(fixture.url, STREAM_LIMITS)
    drivers.push(driver)
    const sink = recordingSink()
    await driver.subscribe('bare', sink)
    await add('bare', '__proto__', 'x')
    await add('bare', 'data', 'after')
    await sink.until('the next', () => sink.texts().includes('after'), BOUND)
    expect(sink.entries.map(({ type }) => type)).toEqual(['gap', 'message'])
  })
})
