/** @needs RabbitMQ that may be stopped and started */
import { readFileSync } from 'node:fs'
import { connect } from 'amqplib'
import type { Channel, ChannelModel } from 'amqplib'
import { rabbitmqDriver } from '../../../src/drivers/rabbitmq.js'
import type { RabbitmqDriver, RabbitmqDriverOptions } from '../../../src/drivers/rabbitmq.js'
import { recordingSink, tcpLink, until } from '../../../src/testing/index.js'
import type { Link } from '../../../src/testing/index.js'
import { checkNoSilentLoss } from '../../../src/testing/load.js'
import { freePort } from '../../brokers/process.js'
import {
  ADMIN,
  PERMISSIONS,
  PRIVATE_EXCHANGE,
  READER,
  startRabbitmq,
  TOPIC_EXCHANGE,
  urlOf,
} from '../../brokers/rabbitmq.js'
import type { RabbitmqServer } from '../../brokers/rabbitmq.js'
import { openEvents } from '../../support/event-stream.js'
import { startScript } from '../../support/script.js'
import { Publisher, QUICK } from './rabbitmq-harness.js'
import { eventually } from '../../support/until.js'

jest.setTimeout(120_000)

/** How long anything may take on a machine that has other things to do. */
const BOUND = 20_000

let server: RabbitmqServer
let link: Link
let publisher: Publisher
let admin: ChannelModel
let channel: Channel
const toClose: { close(): Promise<void> }[] = []

function keep<T extends { close(): Promise<void> }>(it: T): T {
  toClose.push(it)
  return it
}

const at = (path = '') => `${urlOf(READER, `127.0.0.1:${link.port}`)}${path}`

const made = (options: RabbitmqDriverOptions = {}): RabbitmqDriver =>
  keep(rabbitmqDriver(at(), { ...QUICK, ...options }))

async function brought(): Promise<ChannelModel> {
  const connection = await connect(at())
  let isOpen = true
  connection.on('close', () => (isOpen = false))
  keep({ close: async () => (isOpen ? connection.close() : undefined) })
  return connection
}

const publish = (key: string, payload: string, exchange = 'unifrost', options = {}) =>
  publisher.publish(exchange, key, payload, options)

async function opened(driver: RabbitmqDriver, ...topics: string[]) {
  const sinks = topics.map(() => recordingSink())
  await Promise.all(sinks.map((sink, index) => driver.subscribe(topics[index] ?? '', sink)))
  return sinks
}

describe('rabbitmqDriver on RabbitMQ', () => {
  beforeAll(async () => {
    server = await startRabbitmq()
    link = await tcpLink(server.port)
    publisher = new Publisher(urlOf(ADMIN, server.host))
    admin = await connect(urlOf(ADMIN, server.host))
    channel = await admin.createChannel()
    for (const type of ['direct', 'topic', 'fanout'])
      await channel.assertExchange(`rooms-${type}`, type, { durable: false })
  }, 300_000)
  afterEach(async () => {
    for (const it of toClose.splice(0).reverse()) await it.close()
    await until('nothing to be left', async () => {
      const { connections, queues } = await server.open()
      return connections === 0 && queues === 0
    })
  })
  afterAll(async () => {
    await publisher.close()
    await admin.close()
    await link.close()
    await server.stop()
  })

  describe('what a topic is read from', () => {
    test('wildcards on a topic exchange get what RabbitMQ itself gives them', async () => {
      const words = ['a', 'b', '', 'é', '*', '#']
      const random = (count: number) => Math.floor(Math.random() * count)
      const name = (most: number) =>
        Array.from({ length: 1 + random(most) }, () => words[random(words.length)]).join('.')
      const fixed = [
        '#',
        '*',
        'a.#',
        '#.a',
        '#.#',
        'a.#.#.b',
        '*.#',
        'a.*.b',
        'a',
        'a.',
        '.',
        '..a',
      ]
      const patterns = [
        ...new Set([...fixed, ...Array.from({ length: 60 }, () => name(4))]),
      ].filter((pattern) => pattern !== '')
      const keys = [...new Set(['', ...fixed, ...Array.from({ length: 100 }, () => name(5))])]
      const driver = made({ exchange: 'rooms-topic', exchangeType: 'topic' })
      const sinks = await opened(driver, ...patterns)
      const queues: string[] = []
      for (const pattern of patterns) {
        const { queue } = await channel.assertQueue('', { exclusive: true })
        await channel.bindQueue(queue, 'rooms-topic', pattern)
        queues.push(queue)
      }
      for (const key of keys) await publish(key, `«${key}»`, 'rooms-topic')
      for (const [index, pattern] of patterns.entries()) {
        const { messageCount } = await channel.checkQueue(queues[index] ?? '')
        const expected: string[] = []
        for (let count = 0; count < messageCount; count++) {
          const message = await channel.get(queues[index] ?? '', { noAck: true })
          if (message !== false) expected.push(message.content.toString())
        }
        await sinks[index]?.received(expected.length, BOUND)
        expect([pattern, sinks[index]?.texts()]).toEqual([pattern, expected])
        await channel.deleteQueue(queues[index] ?? '')
      }
    })

    test('on a direct exchange a wildcard is a name like any other', async () => {
      const [star, one] = await opened(made(), 'orders.*', 'orders.1')
      await publish('orders.1', 'one')
      await publish('orders.*', 'star')
      await star?.received(1)
      await one?.received(1)
      expect([star?.texts(), one?.texts()]).toEqual([['star'], ['one']])
    })

    test('further routing keys in the CC header count, and make no doubles', async () => {
      const driver = made()
      const [a, b] = await opened(driver, 'cc.a', 'cc.b')
      await publish('cc.a', 'both', 'unifrost', { CC: ['cc.b', 'cc.a', 'cc.other'] })
      await publish('cc.elsewhere', 'b only', 'unifrost', { CC: 'cc.b' })
      await b?.received(2)
      await publish('cc.a', 'end')
      await a?.received(2)
      expect([a?.texts(), b?.texts()]).toEqual([
        ['both', 'end'],
        ['both', 'b only'],
      ])
    })

    test('address names a routing key or an exchange too, and topics may share one', async () => {
      const address = (topic: string) =>
        topic.startsWith('room.')
          ? { exchange: 'rooms-direct', routingKey: topic.slice(5) }
          : `app.${topic.toLowerCase()}`
      const [plain, shared, room] = await opened(made({ address }), 'Likes', 'LIKES', 'room.1')
      await publish('Likes', 'not this')
      await publish('app.likes', 'likes')
      await publish('1', 'not this either')
      await publish('1', 'one', 'rooms-direct')
      await room?.received(1)
      await shared?.received(1)
      await plain?.received(1)
      const texts = [plain, shared, room].map((sink) => sink?.texts())
      expect(texts).toEqual([['likes'], ['likes'], ['one']])
    })

    test('payload takes along what it likes of a message', async () => {
      const driver = made({
        payload: ({ content, fields, properties }) =>
          `${fields.routingKey} ${String(properties.headers?.['n'])} ${content.toString()}`,
      })
      const [sink] = await opened(driver, 'payload')
      await publish('payload', 'x', 'unifrost', { headers: { n: 7 } })
      await sink?.received(1)
      expect(sink?.texts()).toEqual(['payload 7 x'])
    })

    test('one fanout exchange feeds 10,000 topics by what route says, by one binding', async () => {
      const driver = made({
        exchange: 'rooms-fanout',
        exchangeType: 'fanout',
        route: ({ properties }) => properties.headers?.['to'] as string[] | undefined,
      })
      const topics = Array.from({ length: 10_000 }, (_, index) => `user.${index}`)
      const sinks = await opened(driver, ...topics)
      await eventually(async () =>
        expect(await server.open()).toEqual({ connections: 1, queues: 1, bindings: 1 }),
      )
      const to = ['user.7', 'user.9999', 'user.7', 'nobody']
      await publish('', 'hello', 'rooms-fanout', { headers: { to } })
      await publish('', 'to nobody', 'rooms-fanout')
      await publish('', 'end', 'rooms-fanout', { headers: { to: ['user.9999'] } })
      await sinks[9_999]?.received(2, BOUND)
      expect([sinks[7]?.texts(), sinks[9_999]?.texts()]).toEqual([['hello'], ['hello', 'end']])
      expect(sinks.filter((sink) => sink.entries.length > 0)).toHaveLength(2)
    })

    test('sources that overlap make no doubles', async () => {
      const driver = made({
        exchange: 'rooms-topic',
        exchangeType: 'topic',
        sources: ['a.#', '#.b', 'a.b'],
        route: ({ fields }) => fields.routingKey,
      })
      const [sink] = await opened(driver, 'a.b')
      await publish('a.b', '1', 'rooms-topic')
      await publish('a.b', '2', 'rooms-topic')
      await sink?.received(2)
      expect(sink?.texts()).toEqual(['1', '2'])
    })

    test('1,000 topics are one connection and one queue, and one publisher keeps its order', async () => {
      const driver = made({ subscribeTimeout: BOUND })
      const order: string[] = []
      const topics = Array.from({ length: 1_000 }, (_, index) => `many.${index}`)
      await Promise.all(
        topics.map((topic) =>
          driver.subscribe(topic, {
            ...recordingSink(),
            message: (payload) => void order.push(Buffer.from(payload as Uint8Array).toString()),
          }),
        ),
      )
      await eventually(async () =>
        expect(await server.open()).toEqual({ connections: 1, queues: 1, bindings: 1_000 }),
      )
      const sent = Array.from({ length: 1_000 }, (_, index) => String(index))
      await Promise.all(sent.map((text) => publish(`many.${(Number(text) * 7) % 1_000}`, text)))
      await until('all to arrive', () => order.length === 1_000, BOUND)
      expect(order).toEqual(sent)
      await driver.close()
      await until('all to be gone', async () => {
        const { connections, queues, bindings } = await server.open()
        return connections + queues + bindings === 0
      })
    })
  })

  describe('what is refused', () => {
    test.each([
      [{ exchange: PRIVATE_EXCHANGE, routingKey: 'x' }, /read.*ACCESS_REFUSED.*permission/s],
      [
        { exchange: 'unifrost-missing', routingKey: 'x' },
        /no exchange "unifrost-missing".*Make it/s,
      ],
      [{ exchange: TOPIC_EXCHANGE, routingKey: 'x' }, /not of type direct.*current is 'topic'/s],
    ])(
      '%j is refused by the broker, in its words, and no other topic is harmed',
      async (to, says) => {
        const driver = made({ address: (topic) => (topic === 'bad' ? to : topic) })
        const [good] = await opened(driver, 'good')
        const attempts = Array.from({ length: 20 }, () => driver.subscribe('bad', recordingSink()))
        const more = opened(driver, ...Array.from({ length: 50 }, (_, index) => `good.${index}`))
        for (const attempt of attempts) await expect(attempt).rejects.toThrow(says)
        const sinks = await more
        await publish('good', 'x')
        await publish('good.49', 'x')
        await good?.received(1)
        await sinks[49]?.received(1)
        expect(good?.count('gap')).toBe(0)
      },
    )

    test('an exchange that is there is used by who may only read it', async () => {
      const options = { exchange: 'rooms-direct', checkInterval: 100 }
      const [sink] = await opened(made(options), 'x')
      await publish('x', 'x', 'rooms-direct')
      await sink?.received(1)
    })

    test('the permissions that the docs name are enough, and allow no more', async () => {
      const page = readFileSync('docs/drivers/rabbitmq.md', 'utf8')
      const { configure, write, read } =
        /set_permissions --vhost \/ app '(?<configure>.*)' '(?<write>.*)' '(?<read>.*)'$/m.exec(
          page,
        )?.groups ?? {}
      const topics =
        /set_topic_permissions --vhost \/ app orders '(?<write>.*)' '(?<read>.*)'$/m.exec(
          page,
        )?.groups
      await server.manage('PUT', '/users/app', { password: 'secret', tags: '' })
      await server.manage('PUT', '/permissions/%2F/app', { configure, write, read })
      const url = urlOf({ user: 'app', pass: 'secret' }, `127.0.0.1:${link.port}`)
      const app = (options: RabbitmqDriverOptions = {}) =>
        keep(rabbitmqDriver(url, { ...QUICK, ...options }))
      // One that is there, and one that is made.
      for (const exchange of ['unifrost', 'unifrost-documented']) {
        const driver = app({ exchange })
        const [sink] = await opened(driver, 'x')
        await publish('x', 'x', exchange)
        await sink?.received(1)
        await driver.close()
      }
      const elsewhere = app({ exchange: PRIVATE_EXCHANGE }).subscribe('x', recordingSink())
      await expect(elsewhere).rejects.toThrow(/ACCESS_REFUSED/)

      await channel.assertExchange('orders', 'topic')
      await server.manage('PUT', '/permissions/%2F/app', {
        configure,
        write,
        read: `${read}|orders`,
      })
      await server.manage('PUT', '/topic-permissions/%2F/app', { exchange: 'orders', ...topics })
      const orders = app({ exchange: 'orders', exchangeType: 'topic' })
      const [order] = await opened(orders, 'orders.1')
      await publish('orders.1', 'x', 'orders')
      await order?.received(1)
      await expect(orders.subscribe('#', recordingSink())).rejects.toThrow(/ACCESS_REFUSED/)
    })

    test('who may make no queues is told what to allow', async () => {
      const driver = made({ queuePrefix: 'other-' })
      await expect(driver.subscribe('x', recordingSink())).rejects.toThrow(/queues.*"other-"/)
    })

    test('a virtual host that is full of queues is told so, and not as a wrong type', async () => {
      await server.manage('PUT', '/vhosts/small')
      await server.manage('PUT', `/permissions/small/${READER.user}`, PERMISSIONS)
      await server.manage('PUT', '/vhost-limits/small/max-queues', { value: 0 })
      const subscribing = keep(rabbitmqDriver(at('/small'))).subscribe('x', recordingSink())
      await expect(subscribing).rejects.toThrow(/queue limit.*Raise that limit/)
      await expect(subscribing).rejects.toThrow(/^(?!.*exchangeType)/)
    })

    test('who may not read queues is told so, and nothing is left', async () => {
      await server.allow({ ...PERMISSIONS, read: '^rooms' })
      try {
        const driver = made({ exchange: 'rooms-direct' })
        await expect(driver.subscribe('x', recordingSink())).rejects.toThrow(/ACCESS_REFUSED/)
        await until('no queue', async () => (await server.queues()).length === 0)
      } finally {
        await server.allow(PERMISSIONS)
      }
    })

    test('a permission that was withdrawn ends its topic when the link is back, and no other', async () => {
      const address = (topic: string) =>
        topic === 'room' ? { exchange: 'rooms-direct', routingKey: 'x' } : topic
      const [room, kept] = await opened(made({ address }), 'room', 'kept')
      await server.allow({ ...PERMISSIONS, read: '^unifrost' })
      try {
        // Each link asks anew, and the broker may remember an answer for as long as a link lives.
        link.cut()
        await room?.until('fail', (sink) => sink.count('fail') === 1, BOUND)
        await kept?.until('gap', (sink) => sink.count('gap') === 1, BOUND)
        await publish('kept', 'x')
        await kept?.received(1)
        expect(kept?.count('fail')).toBe(0)
      } finally {
        await server.allow(PERMISSIONS)
      }
    })

    test('wrong credentials, no such virtual host, and TLS where there is none', async () => {
      const try_ = (url: string) => keep(rabbitmqDriver(url)).connect()
      const wrong = at().replace(READER.pass, 'wrong')
      await expect(try_(wrong)).rejects.toThrow(/refused the credentials \(ACCESS_REFUSED/)
      await expect(try_(wrong)).rejects.toThrow(/^(?!.*wrong)/)
      await expect(try_(at('/nowhere'))).rejects.toThrow(/virtual host "nowhere"/)
      await expect(try_(at().replace('amqp:', 'amqps:'))).rejects.toThrow(/TLS/)
    })
  })

  describe('what breaks', () => {
    test('a broker that is started later is found by the next subscribe', async () => {
      const port = await freePort()
      const url = urlOf(READER, `127.0.0.1:${port}`)
      const driver = keep(rabbitmqDriver(url, { connectTimeout: BOUND }))
      await expect(driver.connect()).rejects.toThrow(`127.0.0.1:${port}`)
      await expect(driver.subscribe('x', recordingSink())).rejects.toThrow('Start it, or correct')
      const own = await startRabbitmq({ port })
      try {
        await driver.connect()
        await driver.subscribe('x', recordingSink())
        await eventually(async () =>
          expect(await own.open()).toEqual({ connections: 1, queues: 1, bindings: 1 }),
        )
        // Frozen, it costs no more than is allowed: to come, and to go.
        await own.process.freeze()
        const other = keep(rabbitmqDriver(url, { connectTimeout: 300 }))
        await expect(other.connect()).rejects.toThrow('within 300 ms')
        const connecting = keep(rabbitmqDriver(url, { connectTimeout: 60_000 }))
        const pending = expect(connecting.connect()).rejects.toThrow()
        const from = performance.now()
        await Promise.all([connecting.close(), driver.close()])
        await pending
        expect(performance.now() - from).toBeLessThan(15_000)
      } finally {
        own.process.thaw()
        await own.stop()
      }
    })

    test('a link cut again and again at 1,000 messages a second: all told, in order, once', async () => {
      const driver = made({ subscribeTimeout: BOUND })
      const topics = ['cut.0', 'cut.1', 'cut.2', 'cut.3']
      const sinks = await opened(driver, ...topics)
      const confirmed = topics.map((): number[] => [])
      const publishing: Promise<void>[] = []
      const start = performance.now()
      let [last, cuts] = [0, 0]
      while (cuts < 8) {
        const due = Math.floor(performance.now() - start)
        for (; last < due; last++) {
          const [number, index] = [last + 1, last % 4]
          const sent = publish(`cut.${index}`, String(number))
          publishing.push(sent.then(() => void confirmed[index]?.push(number)))
        }
        if (due > (cuts + 1) * 400) {
          cuts++
          link.cut()
        }
        await new Promise(setImmediate)
      }
      await Promise.all(publishing)
      const end = last
      const back = async (index: number) => {
        await publish(`cut.${index}`, String(++last))
        confirmed[index]?.push(last)
        return sinks[index]?.texts().some((text) => Number(text) > end)
      }
      for (const index of topics.keys()) await until('it to be back', () => back(index), BOUND)
      for (const [index, sink] of sinks.entries()) {
        checkNoSilentLoss(topics[index] ?? '', sink.entries, confirmed[index] ?? [])
        expect(sink.count('gap')).toBeGreaterThan(0)
        expect(sink.count('message')).toBeGreaterThan(10)
      }
    })

    test('a connection that an administrator closes is made anew, with one gap for each topic', async () => {
      const sinks = await opened(made(), 'forced.1', 'forced.2')
      const all = await server.manage('GET', '/connections?disable_stats=true')
      const open = (all as { name: string; user: string }[]).find(
        ({ user }) => user === READER.user,
      )
      await server.manage('DELETE', `/connections/${encodeURIComponent(open?.name ?? '')}`)
      for (const sink of sinks) await sink.until('gap', () => sink.count('gap') === 1, BOUND)
      await publish('forced.2', 'x')
      await sinks[1]?.received(1)
      expect(sinks[0]?.entries).toMatchObject([{ reason: expect.stringContaining('FORCED') }])
    })

    test('its queue deleted under it: made anew, with a gap', async () => {
      const connection = await brought()
      const sinks = await opened(keep(rabbitmqDriver(connection, QUICK)), 'queue.1', 'queue.2')
      const [queue] = await server.queues()
      const own = await connection.createChannel()
      await own.deleteQueue(queue ?? '')
      await own.close()
      for (const sink of sinks) await sink.until('gap', () => sink.count('gap') === 1, BOUND)
      await publish('queue.2', 'x')
      await sinks[1]?.received(1)
      await eventually(async () => expect(await server.queues()).toHaveLength(1))
    })

    test('its exchange deleted under it: made anew, with a gap', async () => {
      const [sink] = await opened(made({ exchange: 'unifrost-own', checkInterval: 100 }), 'x')
      await channel.deleteExchange('unifrost-own')
      await sink?.until('gap', (sink) => sink.count('gap') === 1, BOUND)
      await publish('x', 'x', 'unifrost-own')
      await sink?.received(1)
      await channel.deleteExchange('unifrost-own')
    })

    test('its exchange deleted and made again at once: bound anew, with a gap, on every server', async () => {
      const options: RabbitmqDriverOptions = { exchange: 'unifrost-again', checkInterval: 100 }
      const drivers = [made(options), made(options)]
      const sinks = await Promise.all(drivers.map((driver) => opened(driver, 'x')))
      for (let round = 1; round <= 3; round++) {
        await channel.deleteExchange('unifrost-again')
        await channel.assertExchange('unifrost-again', 'direct')
        for (const [sink] of sinks) {
          await sink?.until('gap', (sink) => sink.count('gap') === round, BOUND)
          expect(sink?.entries.findLast(({ type }) => type === 'gap')).toMatchObject({
            reason: expect.stringMatching('"unifrost-again" was deleted'),
          })
        }
        await publish('x', `after ${round}`, 'unifrost-again')
        for (const [sink] of sinks) await sink?.received(round, BOUND)
      }
      // What watches it goes with it, and keeps nobody from deleting it.
      await channel.deleteExchange('unifrost-again')
      const exchanges = async () => (await server.manage('GET', '/exchanges?columns=name')) as []
      const watched = { name: 'unifrost-sentinel-unifrost-again' }
      for (const driver of drivers) await driver.close()
      await eventually(async () => expect(await exchanges()).not.toContainEqual(watched))
    })

    test('an exchange that address names, made again: bound anew, where it may be written to', async () => {
      const address = (routingKey: string) => ({ exchange: 'unifrost-room', routingKey })
      await channel.assertExchange('unifrost-room', 'direct')
      const [sink] = await opened(made({ address, checkInterval: 100 }), 'x')
      await channel.deleteExchange('unifrost-room')
      await channel.assertExchange('unifrost-room', 'direct')
      await sink?.until('gap', (sink) => sink.count('gap') === 1, BOUND)
      await publish('x', 'after', 'unifrost-room')
      await sink?.received(1, BOUND)
      await channel.deleteExchange('unifrost-room')
    })

    test('without the permission to write to it, an exchange is read and left as it is', async () => {
      await channel.assertExchange('rooms-unwatched', 'direct')
      const [sink] = await opened(made({ exchange: 'rooms-unwatched', checkInterval: 100 }), 'x')
      await publish('x', 'read', 'rooms-unwatched')
      await sink?.received(1, BOUND)
      const exchanges = (await server.manage('GET', '/exchanges?columns=name')) as {
        name: string
      }[]
      expect(exchanges.map(({ name }) => name)).not.toContain('unifrost-sentinel-rooms-unwatched')
      expect(sink?.count('gap')).toBe(0)
      await channel.deleteExchange('rooms-unwatched')
    })

    test("somebody else's exchange deleted under it: that topic fails, and no other", async () => {
      const room = (topic: string) => ({ exchange: `rooms-${topic}`, routingKey: '' })
      for (const name of ['rooms-1', 'rooms-2']) await channel.assertExchange(name, 'fanout')
      const driver = made({ exchangeType: 'fanout', address: room, checkInterval: 100 })
      const [one, two] = await opened(driver, '1', '2')
      await channel.deleteExchange('rooms-1')
      await one?.until('fail', (sink) => sink.count('fail') === 1, BOUND)
      await publish('any', 'x', 'rooms-2')
      await two?.received(1)
      expect(two?.count('gap')).toBe(0)
      await channel.deleteExchange('rooms-2')
    })

    test('a brought connection that its owner closes fails every topic, and later ones', async () => {
      const connection = await brought()
      const driver = keep(rabbitmqDriver(connection, QUICK))
      const sinks = await opened(driver, 'b.1', 'b.2')
      await connection.close()
      for (const sink of sinks) await sink.until('fail', () => sink.count('fail') === 1, BOUND)
      await expect(driver.subscribe('b.3', recordingSink())).rejects.toThrow('does not come back')
    })

    test('a function is asked for a connection whenever one is needed, and closed with the driver', async () => {
      let made = 0
      const make = async () => {
        made++
        return connect(at())
      }
      const driver = keep(rabbitmqDriver(make, QUICK))
      const [sink] = await opened(driver, 'f')
      link.cut()
      await sink?.until('gap', (sink) => sink.count('gap') === 1, BOUND)
      await publish('f', 'x')
      await sink?.received(1)
      expect(made).toBe(2)
      await driver.close()
      await until('it to be gone', async () => (await server.open()).connections === 0)
    })

    test('a brought connection keeps nothing of a driver that was closed', async () => {
      const connection = await brought()
      const listeners = () => ['error', 'close'].map((event) => connection.listenerCount(event))
      const before = listeners()
      for (let round = 0; round < 10; round++) {
        const driver = rabbitmqDriver(connection, QUICK)
        await opened(driver, 'x', 'y')
        await driver.close()
        await eventually(async () => expect(await server.queues()).toEqual([]))
      }
      expect(listeners()).toEqual(before)
      const own = await connection.createChannel()
      await own.checkExchange('unifrost')
      await own.close()
    })

    test('closed on a link gone silent, it leaves no socket behind', async () => {
      const sockets = () =>
        process.getActiveResourcesInfo().filter((type) => type === 'TCPSocketWrap').length
      const before = sockets()
      // By its heartbeat it would not end before the test does.
      const driver = made({ heartbeat: 60_000 })
      await opened(driver, 'silent')
      link.stall()
      const from = performance.now()
      await driver.close()
      expect(performance.now() - from).toBeLessThan(15_000)
      await until('its sockets to be gone', () => sockets() <= before)
    })
  })

  test('the example publishes and shows', async () => {
    const env = { RABBITMQ_URL: urlOf(ADMIN, server.host), TOPICS: '3' }
    const script = await startScript('examples/rabbitmq.ts', env)
    try {
      const stream = await openEvents(`${script.url}/events?topic=topic1&topic=topic3`)
      const { data } = await stream.next('a message', ({ event }) => event === 'topic3')
      expect(JSON.parse(data)).toMatchObject({ topic: 'topic3' })
    } finally {
      expect(await script.stop()).toBe(0)
    }
  })
})
