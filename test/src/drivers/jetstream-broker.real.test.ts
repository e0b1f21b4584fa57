/** @needs a NATS server with JetStream that may be stopped and started */
import { setInterval } from 'node:timers/promises'
import type { StorageType } from '@nats-io/jetstream'
import { jetstreamDriver } from '../../../src/drivers/jetstream.js'
import type {
  JetStreamConnection,
  JetStreamDriver,
  JetStreamDriverOptions,
} from '../../../src/drivers/jetstream.js'
import { recordingSink, until } from '../../../src/testing/index.js'
import type { RecordingSink } from '../../../src/testing/index.js'
import { startNats } from '../../brokers/nats.js'
import { freePort } from '../../brokers/process.js'
import { openEvents } from '../../support/event-stream.js'
import { startScript } from '../../support/script.js'
import { JetStreamFixture, LIMITS } from './jetstream-harness.js'
import { libraries, QUICK } from './nats-harness.js'
import { eventually } from '../../support/until.js'

const [[, olderConnect], [, connect]] = libraries as [(typeof libraries)[0], (typeof libraries)[0]]

const API = '$JS.API.STREAM.INFO.S", "$JS.API.CONSUMER.*.S.>", "$JS.FC.S.>'
const USERS = `
  { user: reader, password: reader, permissions: {
    publish: { allow: ["${API}"] }, subscribe: { allow: ["_INBOX.>"] } } }
  { user: nobody, password: nobody, permissions: { publish: { deny: "$JS.API.>" } } }
  { user: deaf, password: deaf, permissions: { subscribe: { deny: "_INBOX.>" } } }
`

describe('jetstreamDriver on a NATS server', () => {
  const fixture = new JetStreamFixture()
  const toClose: { close(): Promise<void> }[] = []
  const running = () => fixture.server!.process

  beforeAll(() => fixture.start({ users: USERS }))
  beforeEach(() => fixture.stream({ name: 'S', subjects: ['s.>'] }))
  afterEach(async () => {
    for (const it of toClose.splice(0).reverse()) await it.close()
  })
  afterAll(() => fixture.stop())

  function keep<T extends { close(): Promise<void> }>(it: T): T {
    toClose.push(it)
    return it
  }

  const made = (options: Partial<JetStreamDriverOptions> = {}, user?: string): JetStreamDriver =>
    keep(
      jetstreamDriver(
        { servers: fixture.url, ...QUICK, ...(user ? { user, pass: user } : {}) },
        { stream: 'S', connect, ...LIMITS, ...options },
      ),
    )

  async function opened(driver: JetStreamDriver, topic: string): Promise<RecordingSink> {
    const sink = recordingSink()
    await driver.subscribe(topic, sink)
    return sink
  }

  const has = (sink: RecordingSink, text: string) =>
    sink.until(`the message ${text}`, () => sink.texts().includes(text), 20_000)

  /** Publishes once the publisher's own link is back too, after a restart. */
  const publishSoon = (subject: string, payload: string) => {
    const publish = () => fixture.publish(subject, payload).then(Boolean, () => false)
    return until('a publish', publish, 20_000)
  }

  const types = (sink: RecordingSink) => sink.entries.map(({ type }) => type).join()

  test('topics are subjects, with wildcards or not, over one consumer', async () => {
    const driver = made()
    const sinks: Record<string, RecordingSink> = {}
    for (const topic of ['s.a.1', 's.*.1', 's.a.*', 's.>', 's.a.>', '>', '*.a.1', 's.a']) {
      sinks[topic] = await opened(driver, topic)
    }
    await eventually(async () => expect(await fixture.consumers('S')).toBe(1))
    for (const subject of ['s.a.1', 's.b.1', 's.a.2', 's.a', 's.a.1.x']) {
      await fixture.publish(subject, subject)
    }
    await sinks['>']!.received(5)
    const got = Object.entries(sinks).map(([topic, sink]) => [topic, sink.texts()])
    const all = ['s.a.1', 's.b.1', 's.a.2', 's.a', 's.a.1.x']
    expect(Object.fromEntries(got)).toEqual({
      's.a.1': ['s.a.1'],
      's.*.1': ['s.a.1', 's.b.1'],
      's.a.*': ['s.a.1', 's.a.2'],
      's.>': all,
      's.a.>': ['s.a.1', 's.a.2', 's.a.1.x'],
      '>': all,
      '*.a.1': ['s.a.1'],
      's.a': ['s.a'],
    })
  })

  test('address says the subject of a topic, payload what of a message is sent', async () => {
    const driver = made({
      address: (topic) => `s.user.${topic}`,
      payload: ({ subject, sequence, time, data, headers }) => {
        if (data.length === 0) throw new Error('nothing in it')
        if (data.length === 2) return undefined as unknown as string
        return JSON.stringify([subject, sequence, time instanceof Date, headers === undefined])
      },
    })
    const [seven, other] = [await opened(driver, '7'), await opened(driver, '8')]
    await fixture.publish('s.user.7', 'x')
    await fixture.publish('s.user.7', '')
    await fixture.publish('s.user.7', 'xx')
    await fixture.publish('s.user.8', 'x')
    await other.received(1)
    expect(seven.texts()).toEqual(['["s.user.7",1,true,true]'])
    expect(types(seven)).toBe('message,gap,gap')
    expect(seven.entries.at(-1)).toMatchObject({ reason: expect.stringContaining('undefined') })
    expect(types(other)).toBe('message')
  })

  test('a message whose header has a status of the protocol is a message, and stops nothing', async () => {
    const driver = made()
    const sink = await opened(driver, 's.a')
    for (const code of [100, 404, 408, 409, 503]) {
      await fixture.publish('s.a', `with ${code}`, code)
    }
    await fixture.publish('s.a', 'after')
    await has(sink, 'after')
    const codes = ['with 100', 'with 404', 'with 408', 'with 409', 'with 503']
    expect(sink.texts()).toEqual([...codes, 'after'])
    expect(types(sink)).toBe('message,message,message,message,message,message')
  })

  test('a filter keeps the rest of the stream on the server', async () => {
    const driver = made({ filter: 's.a.>' })
    const sink = await opened(driver, 's.>')
    await expect(driver.subscribe('s.b', recordingSink())).rejects.toThrow('The filter')
    for (const subject of ['s.a.1', 's.b', 's.a.2']) await fixture.publish(subject, subject)
    await sink.received(2)
    fixture.link.cut()
    await fixture.publish('s.b', 's.b')
    await fixture.publish('s.a.3', 's.a.3')
    await has(sink, 's.a.3')
    expect(sink.texts()).toEqual(['s.a.1', 's.a.2', 's.a.3'])
    expect(sink.count('gap')).toBe(0)
  })

  test('several filters are refused where the server takes one, before it is asked', async () => {
    const connection = keep(await connect({ servers: fixture.url }))
    const { version } = (connection as JetStreamConnection).info!
    const asking = made({ filter: ['s.a', 's.b'] }).subscribe('s.a', recordingSink())
    if (Number(version!.split('.')[1]) >= 10) await asking
    else await expect(asking).rejects.toThrow('takes one subject as filter, and there are 2')
  })

  test('what was there before a topic was opened is not for it', async () => {
    const driver = made()
    await fixture.publish('s.a', 'before any')
    const first = await opened(driver, 's.a')
    for (let index = 0; index < 500; index++) void fixture.publish('s.a', 'before the second')
    await fixture.publish('s.a', 'end')
    const second = await opened(driver, 's.a')
    await fixture.publish('s.a', 'after')
    await Promise.all([has(first, 'after'), has(second, 'after')])
    expect(first.count('message')).toBe(502)
    expect(second.texts()).toEqual(['after'])
  })

  test('10,000 topics cost one consumer, and closing them leaves none', async () => {
    const driver = made({ subscribeTimeout: 30_000 })
    const names = Array.from({ length: 10_000 }, (_, index) => `s.user.${index}`)
    const sinks = names.map(() => recordingSink())
    const open = await Promise.all(
      names.map((name, index) => driver.subscribe(name, sinks[index]!)),
    )
    await eventually(async () =>
      expect(await fixture.server!.open()).toMatchObject({ connections: 1, subscriptions: 2 }),
    )
    await eventually(async () => expect(await fixture.consumers('S')).toBe(1))
    await fixture.publish('s.user.9999', 'x')
    await sinks[9_999]!.received(1)
    await Promise.all(open.map((subscription) => subscription.close()))
    await eventually(async () => expect(await fixture.consumers('S')).toBe(0))
  })

  test('a server killed and started again under load: nothing is missed, and no gap told', async () => {
    const driver = made()
    const sink = await opened(driver, 's.load')
    const sent: string[] = []
    for (let number = 0; number < 600; number++) {
      if (number === 200) await running().restart()
      if (number === 400) await running().freeze()
      if (number === 400) running().thaw()
      const published = fixture.publish('s.load', String(number)).then(
        () => true,
        () => false,
      )
      if (await published) sent.push(String(number))
    }
    await has(sink, sent.at(-1)!)
    const got = new Set(sink.texts())
    expect(sent.filter((text) => !got.has(text))).toEqual([])
    expect(got.size).toBe(sink.count('message'))
    expect(sink.count('gap')).toBe(0)
  })

  test('a link cut again and again at a thousand messages a second: all of them, once each', async () => {
    const driver = made()
    const sink = await opened(driver, 's.cut')
    const pending: Promise<number>[] = []
    let turn = 0
    for await (const tens of setInterval(10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])) {
      for (const one of tens) pending.push(fixture.publish('s.cut', String(turn * 10 + one)))
      if (turn % 40 === 20) fixture.link.cut()
      if (++turn === 200) break
    }
    await Promise.all(pending)
    await sink.received(2_000, 20_000)
    expect(sink.texts()).toEqual(Array.from({ length: 2_000 }, (_, index) => String(index)))
    expect(sink.count('gap')).toBe(0)
  })

  test('a backlog of many megabytes comes at the pace at which it is taken', async () => {
    const sink = await opened(made(), 's.a')
    fixture.link.stall()
    const size = 100_000
    for (let number = 0; number < 200; number++) {
      await fixture.publish('s.a', String(number).padEnd(size))
    }
    await sink.received(200, 20_000)
    expect(sink.texts().map((text) => [Number(text), text.length])).toEqual(
      Array.from({ length: 200 }, (_, number) => [number, size]),
    )
    expect(sink.count('gap')).toBe(0)
  })

  test('a consumer deleted under us is made anew, and nothing is missed', async () => {
    const sink = await opened(made(), 's.a')
    const [consumer] = await fixture.manager.consumers.list('S').next()
    await fixture.manager.consumers.delete('S', consumer!.name)
    await fixture.publish('s.a', 'while it is gone')
    await has(sink, 'while it is gone')
    expect(types(sink)).toBe('message')
  })

  test('what the stream drops while the link is down is one gap, in its place', async () => {
    await fixture.stream({ name: 'S', subjects: ['s.>'], max_msgs: 5 })
    const sink = await opened(made(), 's.a')
    await fixture.publish('s.a', 'first')
    await sink.received(1)
    fixture.link.stall()
    for (let number = 0; number < 20; number++) await fixture.publish('s.a', String(number))
    await has(sink, '19')
    expect(sink.texts()).toEqual(['first', '15', '16', '17', '18', '19'])
    expect(types(sink)).toBe('message,gap,message,message,message,message,message')
  })

  test('a message deleted from the middle before it was read is a gap', async () => {
    const sink = await opened(made(), 's.a')
    const filtered = await opened(made({ filter: 's.a' }), 's.a')
    await fixture.publish('s.a', 'first')
    await Promise.all([sink.received(1), filtered.received(1)])
    fixture.link.stall()
    await fixture.publish('s.a', 'second')
    await fixture.manager.streams.deleteMessage('S', await fixture.publish('s.a', 'deleted'))
    await fixture.publish('s.a', 'fourth')
    await Promise.all([has(sink, 'fourth'), has(filtered, 'fourth')])
    expect(types(sink)).toBe('message,message,gap,message')
    expect(types(filtered)).toBe('message,gap,message,message')
  })

  test('a stream purged of what was read already is no gap', async () => {
    const sink = await opened(made(), 's.a')
    await fixture.publish('s.a', 'first')
    await sink.received(1)
    await fixture.manager.streams.purge('S')
    fixture.link.cut()
    await fixture.publish('s.a', 'second')
    await has(sink, 'second')
    expect(types(sink)).toBe('message,message')
  })

  test('a stream deleted and made anew is a gap, and read on', async () => {
    const sink = await opened(made(), 's.a')
    for (let number = 0; number < 3; number++) await fixture.publish('s.a', 'old')
    await sink.received(3)
    await fixture.stream({ name: 'S', subjects: ['s.>'] })
    // Its numbers go further than those of the old one before anything is noticed.
    for (let number = 0; number < 10; number++) await fixture.publish('s.a', 'early')
    await sink.until('a gap', () => sink.count('gap') === 1)
    await fixture.publish('s.a', 'new')
    await has(sink, 'new')
    expect(sink.count('fail')).toBe(0)
    expect(sink.texts()).toEqual(['old', 'old', 'old', 'new'])
  })

  test('a topic opened on a stream made anew just now gets what is published after', async () => {
    const driver = made()
    const first = await opened(driver, 's.a')
    for (let number = 0; number < 10; number++) await fixture.publish('s.a', 'old')
    await first.received(10)
    await fixture.stream({ name: 'S', subjects: ['s.>'] })
    const second = await opened(driver, 's.a')
    await fixture.publish('s.a', 'new')
    const told = (sink: RecordingSink) => sink.texts().includes('new') || sink.count('gap') > 0
    for (const sink of [first, second]) await sink.until('gap or message', told)
    await first.until('a gap', () => first.count('gap') === 1)
    await fixture.publish('s.a', 'later')
    await Promise.all([has(first, 'later'), has(second, 'later')])
  })

  test('a stream in memory that is gone with the server is made anew, with a gap', async () => {
    const storage = 'memory' as StorageType
    const create = { subjects: ['s.>'], storage }
    await fixture.stream({ name: 'S', ...create })
    const sink = await opened(made({ create }), 's.a')
    await fixture.publish('s.a', 'first')
    await sink.received(1)
    await running().restart()
    await sink.until('a gap', () => sink.count('gap') === 1)
    await publishSoon('s.a', 'new')
    await has(sink, 'new')
    expect(new Set(sink.texts())).toEqual(new Set(['first', 'new']))
  })

  test('a stream deleted for good ends its topics, and can be opened once it is there', async () => {
    const driver = made()
    const sinks = [await opened(driver, 's.a'), await opened(driver, 's.*')]
    await fixture.manager.streams.delete('S')
    for (const sink of sinks) await sink.until('fail', () => sink.count('fail') === 1)
    const [entry] = sinks[0]!.entries
    expect(entry?.type === 'fail' && entry.error.message).toMatch(/has no stream "S". Create it/)
    await expect(driver.subscribe('s.a', recordingSink())).rejects.toThrow('create: { subjects }')
    await fixture.stream({ name: 'S', subjects: ['s.>'] })
    const again = await opened(driver, 's.a')
    await fixture.publish('s.a', 'x')
    await again.received(1)
  })

  test('create makes a stream that is not there, and makes it anew', async () => {
    await fixture.manager.streams.delete('S')
    const options = { create: { subjects: ['s.>'], max_msgs: 100 } }
    const [sink, other] = await Promise.all([
      opened(made(options), 's.a'),
      opened(made({ create: { subjects: ['s.>'], max_msgs: 200 } }), 's.a'),
    ])
    await fixture.publish('s.a', 'x')
    await Promise.all([sink.received(1), other.received(1)])
    await fixture.manager.streams.delete('S')
    await sink.until('a gap', () => sink.count('gap') === 1)
    await fixture.publish('s.a', 'y')
    await has(sink, 'y')
  })

  test('the permissions of the docs are enough, and lacks are told with what to do', async () => {
    const sink = await opened(made({}, 'reader'), 's.a')
    await fixture.publish('s.a', 'x')
    await sink.received(1)
    for (const user of ['nobody', 'deaf']) {
      const asking = made({}, user).subscribe('s.a', recordingSink())
      await expect(asking).rejects.toThrow(/permissions violation.*Allow/i)
    }
    const elsewhere = made({ stream: 'other' }, 'reader').subscribe('s.a', recordingSink())
    await expect(elsewhere).rejects.toThrow(/permissions violation.*Allow/i)
    await expect(made({}, 'stranger').connect()).rejects.toThrow('refused the credentials')
  })

  test('a server without JetStream is named as the reason', async () => {
    const plain = await startNats()
    try {
      for (const dial of [olderConnect, connect]) {
        const options = { stream: 'S', connect: dial }
        const driver = keep(jetstreamDriver({ servers: plain.url, ...QUICK }, options))
        await expect(driver.subscribe('s.a', recordingSink())).rejects.toThrow(
          /has no JetStream for this account/,
        )
        await expect(driver.connect()).rejects.toThrow(/has no JetStream for this account/)
        await driver.close()
      }
    } finally {
      await plain.stop()
    }
  })

  test('a server that is started later is found by the next subscribe', async () => {
    const port = await freePort()
    const options = { stream: 'S', create: { subjects: ['s.>'] }, connect }
    const driver = keep(jetstreamDriver(`nats://127.0.0.1:${port}`, options))
    await expect(driver.subscribe('s.a', recordingSink())).rejects.toThrow(`127.0.0.1:${port}`)
    const late = await startNats({ port, jetstream: true })
    try {
      await driver.connect()
      await opened(driver, 's.a')
      await driver.close()
    } finally {
      await late.stop()
    }
  })

  test('a frozen server: subscribe rejects in time, and open topics go on when it thaws', async () => {
    const driver = made()
    const sink = await opened(driver, 's.a')
    await running().freeze()
    try {
      const from = performance.now()
      await expect(driver.subscribe('s.b', recordingSink())).rejects.toThrow(/reachable/)
      expect(performance.now() - from).toBeLessThan(LIMITS.subscribeTimeout + 10_000)
    } finally {
      running().thaw()
    }
    await publishSoon('s.a', 'after')
    await has(sink, 'after')
    expect(sink.count('fail')).toBe(0)
  })

  test('a brought connection that its owner closes fails every topic, and later ones', async () => {
    const connection = keep(await connect({ servers: fixture.url }))
    const driver = keep(jetstreamDriver(connection as never, { stream: 'S', ...LIMITS }))
    const sink = await opened(driver, 's.a')
    await connection.close()
    await sink.until('fail', () => sink.count('fail') === 1)
    await expect(driver.subscribe('s.a', recordingSink())).rejects.toThrow('has been closed')
  })

  test('a process that dies leaves a consumer for some seconds only', async () => {
    const connection = keep(await connect({ servers: fixture.url }))
    await opened(keep(jetstreamDriver(connection as never, { stream: 'S' })), 's.a')
    await eventually(async () => expect(await fixture.consumers('S')).toBe(1))
    await connection.close()
    const gone = async () => (await fixture.consumers('S')) === 0
    await until('the server to let go', gone, 20_000)
  })

  test('the example shows what it publishes', async () => {
    const example = await startScript('examples/jetstream.ts', {
      NATS_URL: fixture.server!.url.replace('//', '//admin:admin-secret@'),
    })
    try {
      const stream = await openEvents(`${example.url}/events?topic=orders.1`)
      await stream.arrived('an order', 'event: orders.1\n')
      stream.drop()
    } finally {
      expect(await example.stop()).toBe(0)
    }
  })
})
