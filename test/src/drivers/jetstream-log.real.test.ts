/** @needs a NATS server with JetStream that may be stopped and started */
import type { LogEntry } from '../../../src/log.js'
import { jetstreamDriver } from '../../../src/drivers/jetstream.js'
import type { JetStreamDriver, JetStreamDriverOptions } from '../../../src/drivers/jetstream.js'
import type { StreamerOptions } from '../../../src/options.js'
import { Streamer } from '../../../src/streamer.js'
import { recordingSink, until } from '../../../src/testing/index.js'
import { FakeResponse, fakeRequest } from '../../support/fake-response.js'
import { Page } from '../../support/stage.js'
import { JetStreamFixture, LIMITS } from './jetstream-harness.js'
import { libraries, QUICK } from './nats-harness.js'

const [[, olderConnect], [, connect]] = libraries as [(typeof libraries)[0], (typeof libraries)[0]]

const API = '$JS.API.STREAM.INFO.S", "$JS.API.CONSUMER.CREATE.S.>", "$JS.API.CONSUMER.DELETE.S.>'
const USERS = `
  { user: reader, password: reader, permissions: {
    publish: { allow: ["${API}", "$JS.FC.S.>"] }, subscribe: { allow: ["_INBOX.>"] } } }
`

describe('a client that moves between two servers on one stream', () => {
  const fixture = new JetStreamFixture()
  const toClose: { close(): Promise<void> }[] = []

  beforeAll(() => fixture.start({ users: USERS }))
  beforeEach(() => fixture.stream({ name: 'S', subjects: ['s.>'] }))
  afterEach(async () => {
    for (const it of toClose.splice(0).reverse()) await it.close()
    await until('no consumer to be left', async () => (await fixture.consumers('S')) === 0)
  })
  afterAll(() => fixture.stop())

  function made(dial = connect, options: Partial<JetStreamDriverOptions> = {}): JetStreamDriver {
    const target = { servers: fixture.url, ...QUICK, user: 'reader', pass: 'reader' }
    const driver = jetstreamDriver(target, { stream: 'S', connect: dial, ...LIMITS, ...options })
    toClose.push(driver)
    return driver
  }

  function server(
    dial = connect,
    options: Partial<JetStreamDriverOptions> = {},
    settings: StreamerOptions = {},
  ): Streamer {
    const quiet = () => undefined
    const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet }
    const streamer = new Streamer(made(dial, options), {
      ...{ heartbeatInterval: 0, topicLinger: 0, logger },
      ...settings,
    })
    toClose.push(streamer)
    return streamer
  }

  /** One server with each library. */
  const both = (
    options: Partial<JetStreamDriverOptions> = {},
    settings: StreamerOptions = {},
  ): [Streamer, Streamer] => [
    server(olderConnect, options, settings),
    server(connect, options, settings),
  ]

  /** What a page with its topics in its address does. */
  async function open(streamer: Streamer, topics: string[], after?: string): Promise<Page> {
    const { id } = await streamer.newClient({ transient: true })
    for (const topic of topics) await streamer.subscribe(id, topic, { after })
    const response = new FakeResponse()
    void streamer.handle(fakeRequest(id, after), response.asResponse)
    const page = new Page(response)
    await until('a first message', () => page.got && page.events.length > 0)
    return page
  }

  const has = (page: Page, last: string) =>
    until(`${last} after ${page.got.slice(-3).join()}`, () => page.got.at(-1) === last)

  async function publish(count: number, subject = 's.a', size = 0): Promise<string[]> {
    const numbers = Array.from({ length: count }, (_, index) => String(index).padEnd(size, '.'))
    for (const text of numbers) await fixture.publish(subject, text)
    return numbers.map((text) => `${subject}=${text}`)
  }

  test('with every message: each once, in order', async () => {
    const servers = both()
    let page = await open(servers[0], ['s.a'])
    const got: string[] = []
    for (let hop = 1; hop <= 20; hop++) {
      await fixture.publish('s.a', String(hop))
      if (hop % 2 === 0) await has(page, `s.a=${hop}`)
      const { lastEventId } = page
      page.response.destroy()
      await fixture.publish('s.b', 'for nobody')
      await fixture.publish('s.a', `${hop} and a half`)
      got.push(...page.got)
      page = await open(servers[hop % 2]!, ['s.a'], lastEventId)
      await has(page, `s.a=${hop} and a half`)
    }
    const sent = Array.from({ length: 20 }, (_, i) => [`s.a=${i + 1}`, `s.a=${i + 1} and a half`])
    expect([...got, ...page.got]).toEqual(sent.flat())
  })

  test('also where the history has let go what it missed, and leaves no consumer', async () => {
    const servers = both({}, { history: { maxBytes: 5_000 } })
    const first = await open(servers[0], ['s.a', 's.b'])
    const { lastEventId } = first
    await open(servers[1], ['s.b'])
    const sent = await publish(2_000)
    const last = await publish(1, 's.b')
    await has(first, last[0]!)
    for (const streamer of servers) {
      const page = await open(streamer, ['s.a', 's.b'], lastEventId)
      await has(page, last[0]!)
      expect(page.got).toEqual([...sent, ...last])
      expect(streamer.stats()).toMatchObject({ messagesLost: 0, resumes: { exact: 1, lost: 0 } })
    }
    const alone = async () => (await fixture.consumers('S')) === 2
    await until('the consumers that read again to go', alone)
  })

  test('also in the middle of a message that goes to several of its topics', async () => {
    const servers = both()
    const topics = ['s.>', 's.a', 's.*', '*.a']
    const page = await open(servers[0], topics)
    await fixture.publish('s.a', 'x')
    await fixture.publish('s.b.c', 'y')
    await has(page, 's.>=y')
    const all = ['*.a=x', 's.*=x', 's.>=x', 's.a=x', 's.>=y']
    expect(page.got).toEqual(all)
    for (const [index, { lastEventId }] of page.events.slice(1).entries()) {
      for (const streamer of [...servers, server()]) {
        const resumed = await open(streamer, topics, lastEventId)
        await until('what it lacks', () => resumed.got.length >= all.length - index - 1)
        expect(resumed.got).toEqual(all.slice(index + 1))
      }
    }
  })

  test('also when the NATS server was killed in between', async () => {
    const [one, two] = both()
    const page = await open(one, ['s.a'])
    const before = await publish(10)
    await has(page, before.at(-1)!)
    const { lastEventId } = page
    page.response.destroy()
    await publish(10)
    await fixture.server!.process.restart()
    const publishing = () => fixture.publish('s.a', 'after').then(Boolean, () => false)
    await until('a publish', publishing, 20_000)
    for (const streamer of [one, two, server()]) {
      const back = await open(streamer, ['s.a'], lastEventId)
      await has(back, 's.a=after')
      // A publish that was not answered may have been stored all the same.
      expect([...new Set(back.got)]).toEqual([...before, 's.a=after'])
    }
  })

  test('is told that the stream was made anew, whoever noticed', async () => {
    const servers = both()
    const page = await open(servers[0], ['s.a'])
    await has(page, (await publish(5)).at(-1)!)
    const { lastEventId } = page
    await fixture.stream({ name: 'S', subjects: ['s.>'] })
    await publish(10)
    await until('the loss', () => page.got.includes('messages-lost:s.a'))
    for (const streamer of [...servers, server()]) {
      const back = await open(streamer, ['s.a'], lastEventId)
      await until('the loss', () => back.got.includes('messages-lost:s.a'))
    }
    await fixture.publish('s.a', 'new')
    await has(page, 's.a=new')
    const moved = await open(servers[1], ['s.a'], page.lastEventId)
    await fixture.publish('s.a', 'newer')
    await has(moved, 's.a=newer')
    expect(moved.got).toEqual(['s.a=newer'])
  })

  test('is told what the stream has dropped, and gets what follows', async () => {
    await fixture.stream({ name: 'S', subjects: ['s.>'], max_msgs: 5 })
    const servers = both()
    const { lastEventId } = await open(servers[0], ['s.a'])
    const sent = await publish(20)
    const page = await open(servers[1], ['s.a'], lastEventId)
    await has(page, sent.at(-1)!)
    expect(page.got).toEqual(['messages-lost:s.a', ...sent.slice(15)])
  })

  test('is told of a message that was deleted, which no filter tells', async () => {
    const servers = both()
    const { lastEventId } = await open(servers[0], ['s.a'])
    const sent = await publish(3)
    await fixture.manager.streams.deleteMessage('S', await fixture.publish('s.a', 'deleted'))
    sent.push(...(await publish(3)))
    const page = await open(servers[1], ['s.a'], lastEventId)
    await has(page, sent.at(-1)!)
    expect(page.got).toContain('messages-lost:s.a')
    expect(page.got.slice(-3)).toEqual(sent.slice(-3))
  })

  test('gets of the log what the filter lets through, and no more', async () => {
    const [one, two] = both({ filter: 's.a.>' })
    const { lastEventId } = await open(one, ['s.>', 's.a.*'])
    for (const subject of ['s.a.1', 's.b', 's.a.1.x', 's.b', 's.b']) {
      await fixture.publish(subject, subject)
    }
    const page = await open(two, ['s.>', 's.a.*'], lastEventId)
    await has(page, 's.>=s.a.1.x')
    expect(page.got).toEqual(['s.>=s.a.1', 's.a.*=s.a.1', 's.>=s.a.1.x'])
    const other = await open(two, ['s.>'], lastEventId)
    await has(other, 's.>=s.a.1.x')
    expect(other.got).toEqual(['s.>=s.a.1', 's.>=s.a.1.x'])
  })

  test('is told of a message on which payload fails', async () => {
    const payload: JetStreamDriverOptions['payload'] = ({ data }) => {
      if (data.length === 0) throw new Error('nothing in it')
      return data
    }
    const [one, two] = both({ payload })
    const { lastEventId } = await open(one, ['s.a'])
    for (const text of ['x', '', 'y']) await fixture.publish('s.a', text)
    const page = await open(two, ['s.a'], lastEventId)
    await has(page, 's.a=y')
    expect(page.got.slice(-2)).toEqual(['messages-lost:s.a', 's.a=y'])
  })

  test('is told that it may miss something, of a stream in memory', async () => {
    await fixture.stream({ name: 'S', subjects: ['s.>'], storage: 'memory' })
    const [one, two] = both()
    const { lastEventId } = await open(one, ['s.a'])
    const page = await open(two, ['s.a'], lastEventId)
    await until('the loss', () => page.got.includes('messages-lost:s.a'))
  })

  describe('is served by reading the log', () => {
    async function read(driver: JetStreamDriver, range: [number, number], topics = ['s.a']) {
      const entries: LogEntry[] = []
      for await (const entry of driver.log.read(topics, ...range)) entries.push(entry)
      return entries.map((entry) => ('number' in entry ? entry.number : -entry.lostThrough))
    }

    test('for many topics as for few, and for those that overlap', async () => {
      const driver = made()
      await driver.log.open()
      for (let index = 0; index < 120; index++) await fixture.publish(`s.${index}`, 'x')
      expect(await driver.log.reach(120)).toBe(true)
      const names = Array.from({ length: 60 }, (_, index) => `s.${2 * index}`)
      const odd = Array.from({ length: 60 }, (_, index) => 2 * index + 1)
      expect(await read(driver, [0, 120], names)).toEqual(odd)
      expect(await read(driver, [10, 20], names.slice(0, 10))).toEqual([11, 13, 15, 17, 19])
      expect(await read(driver, [0, 120], ['s.*', 's.4'])).toHaveLength(120)
      expect(await read(driver, [0, 120], ['s.none'])).toEqual([])
    })

    test('at the pace at which it is taken, and no further', async () => {
      const driver = made()
      await driver.log.open()
      for (let count = 0; count < 300; count++) await fixture.publish('s.a', Buffer.alloc(100_000))
      expect(await driver.log.reach(300)).toBe(true)
      const reading = driver.log.read(['s.a'], 0, 300)[Symbol.asyncIterator]()
      await reading.next()
      const delivered = async () =>
        (await fixture.manager.consumers.list('S').next())[0]!.delivered.stream_seq
      // It sends until it waits, and not on.
      let [before, still] = [-1, 0]
      await until('the server to wait', async () => {
        const now = await delivered()
        still = now === before ? still + 1 : 0
        before = now
        return still === 10
      })
      expect(before).toBeLessThan(100)
      let count = 1
      while (!(await reading.next()).done) count++
      expect(count).toBe(300)
    })

    test('until the driver is closed', async () => {
      const driver = made()
      await driver.log.open()
      await publish(2_000, 's.a', 5_000)
      expect(await driver.log.reach(2_000)).toBe(true)
      const reading = driver.log.read(['s.a'], 0, 2_000)[Symbol.asyncIterator]()
      await reading.next()
      await driver.close()
      const rest = async () => {
        while (!(await reading.next()).done);
      }
      await expect(rest()).rejects.toThrow('has been closed')
    })

    test('and not another stream that took its place', async () => {
      const driver = made()
      await driver.subscribe('s.a', recordingSink())
      await publish(10)
      await until('the position', () => driver.log.position === 10)
      await fixture.stream({ name: 'S', subjects: ['s.>'] })
      await publish(20)
      await expect(read(driver, [0, 10])).rejects.toThrow('made anew')
    })
  })
})
