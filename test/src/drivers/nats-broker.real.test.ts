/** @needs a NATS server that may be stopped and started */
import { readFileSync } from 'node:fs'
import { natsDriver } from '../../../src/drivers/nats.js'
import type { NatsDriver, NatsMessage } from '../../../src/drivers/nats.js'
import { recordingSink, tcpLink, until } from '../../../src/testing/index.js'
import type { Link } from '../../../src/testing/index.js'
import { checkNoSilentLoss } from '../../../src/testing/load.js'
import { ADMIN, startNats } from '../../brokers/nats.js'
import type { NatsServer } from '../../brokers/nats.js'
import { freePort } from '../../brokers/process.js'
import { cutUnderLoad } from './bursts.js'
import { libraries, QUICK } from './nats-harness.js'
import { eventually } from '../../support/until.js'

const PERMISSIONS = /^permissions: .*$/m.exec(readFileSync('docs/drivers/nats.md', 'utf8'))?.[0]

describe.each(libraries)('natsDriver on a NATS server, with %s', (_, connect) => {
  let server: NatsServer
  let link: Link
  const toClose: { close(): Promise<void> }[] = []

  beforeAll(async () => {
    const users = `{ user: documented, password: secret, ${PERMISSIONS} }`
    server = await startNats({ config: 'max_subscriptions: 200', users })
    link = await tcpLink(server.port)
  })
  afterEach(async () => {
    for (const it of toClose.splice(0).reverse()) await it.close()
  })
  afterAll(async () => {
    await link.close()
    await server.stop()
  })

  function keep<T extends { close(): Promise<void> }>(it: T): T {
    toClose.push(it)
    return it
  }

  const dial = async (options = {}) =>
    keep(await connect({ servers: server.url, ...QUICK, maxReconnectAttempts: -1, ...options }))

  const made = (options = {}): NatsDriver =>
    keep(
      natsDriver(
        { servers: `nats://127.0.0.1:${link.port}`, ...QUICK },
        { connect, subscribeTimeout: 1_500, ...options },
      ),
    )

  async function publisher() {
    const connection = (await dial(ADMIN)) as Awaited<ReturnType<typeof connect>> & {
      publish(subject: string, payload: string): void
    }
    return async (subject: string, payload: string) => {
      connection.publish(subject, payload)
      await connection.flush()
    }
  }

  test('a wildcard topic gets all its subjects in the order in which they were published', async () => {
    const publish = await publisher()
    const driver = made()
    const [star, rest] = [recordingSink(), recordingSink()]
    await driver.subscribe('orders.*', star)
    await driver.subscribe('orders.>', rest)
    const sent = Array.from({ length: 100 }, (_, index) => String(index))
    for (const text of sent) await publish(`orders.${Number(text) % 7}`, text)
    await publish('orders.1.deep', 'deep')
    await rest.received(101)
    expect(star.texts()).toEqual(sent)
    expect(rest.texts()).toEqual([...sent, 'deep'])
  })

  test('a topic is read from the subject that address gives', async () => {
    const publish = await publisher()
    const sink = recordingSink()
    await made({ address: (topic: string) => `app.${topic}` }).subscribe('likes', sink)
    await publish('likes', 'not this')
    await publish('app.likes', 'this')
    await sink.received(1)
    expect(sink.texts()).toEqual(['this'])
  })

  test("a lack of permission is told in the broker's words, and what to do about it", async () => {
    const subscribing = made().subscribe('denied.x', recordingSink())
    await expect(subscribing).rejects.toThrow(/permissions.violation.*Allow it/i)
  })

  test('the permissions that the docs name are enough', async () => {
    const publish = await publisher()
    const servers = `nats://documented:secret@127.0.0.1:${link.port}`
    const driver = keep(natsDriver({ servers, ...QUICK }, { connect }))
    const sink = recordingSink()
    const subscription = await driver.subscribe('app.likes', sink)
    await publish('app.likes', 'x')
    await sink.received(1)
    await subscription.close()
    const elsewhere = driver.subscribe('other', recordingSink())
    await expect(elsewhere).rejects.toThrow(/permissions.violation/i)
  })

  test('a permission that is withdrawn ends that topic and no other', async () => {
    const publish = await publisher()
    const driver = made()
    const [ended, other] = [recordingSink(), recordingSink()]
    const subscription = await driver.subscribe('withdrawn', ended)
    await driver.subscribe('kept', other)
    await server.deny('withdrawn')
    await ended.until('fail', (sink) => sink.count('fail') === 1)
    await subscription.close()
    await publish('kept', 'still here')
    await other.until('the message', (sink) => sink.texts().includes('still here'))
    await server.deny('denied.>')
    expect(other.count('fail')).toBe(0)
  })

  test('more subscriptions than the server allows are refused, those before work on', async () => {
    const publish = await publisher()
    const driver = made()
    const sinks = Array.from({ length: 200 }, () => recordingSink())
    await Promise.all(sinks.map((sink, index) => driver.subscribe(`many.${index}`, sink)))
    const one = driver.subscribe('many.200', recordingSink())
    await expect(one).rejects.toThrow(/maximum subscriptions exceeded|NATS_PROTOCOL_ERR/i)
    await publish('many.199', 'x')
    await sinks[199]?.received(1)
  })

  test('every topic that is open gets one gap for each time the link was lost', async () => {
    const publish = await publisher()
    const driver = made()
    const sinks = Array.from({ length: 50 }, () => recordingSink())
    await Promise.all(sinks.map((sink, index) => driver.subscribe(`gaps.${index}`, sink)))
    for (const times of [1, 2]) {
      link.cut()
      for (const sink of sinks) await sink.until('a gap', () => sink.count('gap') === times)
    }
    await publish('gaps.7', 'after')
    await sinks[7]?.received(1)
    expect(sinks.map((sink) => sink.entries.map(({ type }) => type).join())).toEqual(
      sinks.map((_, index) => (index === 7 ? 'gap,gap,message' : 'gap,gap')),
    )
  })

  test('a link cut again and again at 1,000 messages a second: all told, in order, once', async () => {
    const publish = await publisher()
    const sink = recordingSink()
    await made().subscribe('load', sink)
    const confirmed = await cutUnderLoad(
      sink,
      (payloads) => Promise.all(payloads.map((payload) => publish('load', payload))),
      () => link.cut(),
    )
    checkNoSilentLoss('load', sink.entries, confirmed)
    expect(sink.count('gap')).toBeGreaterThan(0)
  })

  test('with the default settings a link gone silent is noticed in about three seconds', async () => {
    const driver = keep(natsDriver(`nats://127.0.0.1:${link.port}`, { connect }))
    const sink = recordingSink()
    await driver.subscribe('silent', sink)
    const from = performance.now()
    link.stall()
    await sink.until('a gap', () => sink.count('gap') === 1)
    expect(performance.now() - from).toBeGreaterThan(1_900)
  })

  test('a server that is started later is found by the next subscribe', async () => {
    const port = await freePort()
    const driver = keep(natsDriver(`nats://127.0.0.1:${port}`, { connect, connectTimeout: 2_000 }))
    await expect(driver.connect()).rejects.toThrow(`127.0.0.1:${port}`)
    await expect(driver.subscribe('x', recordingSink())).rejects.toThrow('Start it, or correct')
    const late = await startNats({ port })
    try {
      await driver.connect()
      await driver.subscribe('x', recordingSink())
      await eventually(async () =>
        expect(await late.open()).toMatchObject({ connections: 1, subscriptions: 1 }),
      )
      await driver.close()
    } finally {
      await late.stop()
    }
  })

  test('a frozen server costs no more than the connect timeout', async () => {
    const own = await startNats()
    try {
      const driver = keep(natsDriver(own.url, { connect, connectTimeout: 300 }))
      await own.process.freeze()
      await expect(driver.connect()).rejects.toThrow('within 300 ms')
      own.process.thaw()
      const back = () =>
        driver.connect().then(
          () => true,
          () => false,
        )
      await until('the server answers', back)
      await driver.subscribe('x', recordingSink())
      await driver.close()
    } finally {
      await own.stop()
    }
  })

  test('credentials may stand in the address, and wrong ones are named as the reason', async () => {
    const at = (user: string) => `nats://${user}@127.0.0.1:${server.port}`
    const right = keep(natsDriver(at(`${ADMIN.user}:${ADMIN.pass}`), { connect }))
    await right.subscribe('denied.to.others', recordingSink())
    const wrong = keep(natsDriver(at('admin:wrong'), { connect }))
    await expect(wrong.connect()).rejects.toThrow(/refused the credentials/)
  })

  test('credentials that are refused for a while, as during a reload, are a gap and no end', async () => {
    const own = await startNats({ users: '{ user: app, password: first }' })
    try {
      const driver = keep(natsDriver(`nats://app:first@127.0.0.1:${own.port}`, { connect }))
      const sink = recordingSink()
      await driver.subscribe('reloaded', sink)
      await own.users('{ user: app, password: second }')
      await until('the driver to be refused', () => driver.brokerState?.down !== undefined)
      const [since] = [performance.now()]
      await until('three seconds to pass', () => performance.now() - since > 3_000)
      await own.users('{ user: app, password: first }')
      await sink.until('a gap', () => sink.count('gap') === 1)
      expect(sink.count('fail')).toBe(0)
      expect(driver.brokerState?.down).toBeUndefined()
    } finally {
      await own.stop()
    }
  })

  test('a server that is full says so, and what to do', async () => {
    const own = await startNats({ config: 'max_connections: 1' })
    try {
      const at = `nats://127.0.0.1:${own.port}`
      // Who asked whether the server is up may hold the only place for a moment longer.
      await until('the place to be free', async () => (await own.open()).connections === 0, 30_000)
      const first = keep(natsDriver(at, { connect }))
      const connects = () =>
        first.connect().then(
          () => true,
          () => false,
        )
      // A library that was refused may take its whole time for it.
      await until('the first connection', connects, 30_000)
      const second = keep(natsDriver(at, { connect }))
      await expect(second.connect()).rejects.toThrow(
        /has no room \(maximum connections exceeded\)\. Raise its limit/i,
      )
    } finally {
      await own.stop()
    }
  })

  test('a brought connection that its owner closes fails every topic, and later ones', async () => {
    const connection = await dial()
    const driver = keep(natsDriver(connection))
    const sinks = [recordingSink(), recordingSink()]
    const [first] = await Promise.all(
      sinks.map((sink, index) => driver.subscribe(`b${index}`, sink)),
    )
    await connection.close()
    for (const sink of sinks) await sink.until('fail', () => sink.count('fail') === 1)
    await first?.close()
    await expect(driver.subscribe('b3', recordingSink())).rejects.toThrow('has been closed')
  })

  test('a connection that is given up for good is made anew by the next subscribe', async () => {
    const driver = keep(
      natsDriver({ servers: `127.0.0.1:${link.port}`, reconnect: false }, { connect }),
    )
    const sink = recordingSink()
    await driver.subscribe('given-up', sink)
    link.cut()
    await sink.until('fail', () => sink.count('fail') === 1)
    await driver.subscribe('given-up', recordingSink())
  })

  test('closing while the server is away settles and leaves nothing running', async () => {
    const own = await startNats()
    const driver = keep(natsDriver({ servers: own.url, ...QUICK }, { connect }))
    await driver.subscribe('x', recordingSink())
    await own.stop()
    const from = performance.now()
    await driver.close()
    expect(performance.now() - from).toBeLessThan(15_000)
  })

  test('a brought connection keeps nothing of a driver that was closed', async () => {
    const connection = await dial()
    for (let round = 0; round < 10; round++) {
      const driver = natsDriver(connection)
      await Promise.all(['x', 'y'].map((topic) => driver.subscribe(topic, recordingSink())))
      await driver.close()
    }
    const alone = async () => (await server.open()).subscriptions === 0
    await until('no subscription is left', alone)
    expect(connection.isClosed()).toBe(false)
  })

  test('payload says which subject of a wildcard it was, and a failure is a gap', async () => {
    const given: unknown[] = []
    const driver = made({
      payload: ({ subject, data }: NatsMessage, topic: string) => {
        if (subject === 'orders.bad') throw new Error('bad')
        return { event: `${topic} ${subject}`, data }
      },
    })
    await driver.subscribe('orders.*', {
      message: (payload) => given.push(payload),
      gap: (reason) => given.push(reason),
      fail: (error) => given.push(error),
    })
    const publish = await publisher()
    for (const subject of ['orders.1', 'orders.bad', 'orders.2']) await publish(subject, subject)
    await until('three messages', () => given.length >= 3)
    expect(given).toEqual([
      { event: 'orders.* orders.1', data: expect.anything() as unknown },
      expect.stringContaining('payload failed on a message of orders.bad'),
      { event: 'orders.* orders.2', data: expect.anything() as unknown },
    ])
  })
})
