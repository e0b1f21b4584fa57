/** @needs a Redis server that may be stopped and started */
import { RESP_TYPES } from 'redis'
import { redisStreamsDriver } from '../../../src/drivers/redis-streams.js'
import type { RedisStreamsDriver } from '../../../src/drivers/redis-streams.js'
import { Streamer } from '../../../src/index.js'
import type { StreamerOptions } from '../../../src/index.js'
import { recordingSink, until } from '../../../src/testing/index.js'
import { openPage } from '../../support/stage.js'
import type { Page } from '../../support/stage.js'
import { libraries, ownClient, RedisFixture } from './redis-harness.js'
import { STREAM_LIMITS } from './redis-streams-harness.js'

interface Server {
  driver: RedisStreamsDriver
  streamer: Streamer
}

/** Little of each topic is kept in memory: what came before has to be read from the stream. */
const SMALL: StreamerOptions = { history: { maxBytes: 4_000 } }

async function collect<T>(all: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const one of all) list.push(one)
  return list
}

describe('redisStreamsDriver with one stream as the log', () => {
  const fixture = new RedisFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())
  const toClose: { close(): Promise<void> }[] = []
  afterEach(async () => {
    for (const it of toClose.splice(0).reverse()) await it.close()
    await fixture.command('CONFIG', 'SET', 'appendonly', 'yes')
    await fixture.command('FLUSHALL')
  })

  const log = {
    ...STREAM_LIMITS,
    sources: ['log'],
    route: ({ fields }: { fields: Readonly<Record<string, Buffer>> }) =>
      String(fields['topics']).split(','),
  }
  function server(options: StreamerOptions = {}, library = libraries[0]!): Server {
    const driver = redisStreamsDriver(fixture.url, { ...log, library })
    const streamer = new Streamer(driver, options)
    toClose.push(streamer)
    return { driver, streamer }
  }

  /** What a page with its topics in its address does. */
  async function connect({ streamer }: Server, topics: string[], after?: string): Promise<Page> {
    const page = await openPage(streamer, topics, after)
    await until('the first message', () => (void page.got, page.events.length > 0))
    return page
  }

  /** Goes away from a page, and gives what it would name. */
  function leave(page: Page): string {
    const { lastEventId } = page
    page.response.destroy()
    return lastEventId
  }

  const add = async (data: string, topics = 'a', id = '*', ...trimming: string[]) =>
    String(await fixture.command('XADD', 'log', ...trimming, id, 'topics', topics, 'data', data))
  async function addMany(from: number, to: number, topics = 'a'): Promise<string[]> {
    const numbers = Array.from({ length: to - from + 1 }, (_, index) => from + index)
    return Promise.all(numbers.map((it) => add(String(it), topics)))
  }
  const many = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => `a=${from + index}`)
  /** Waits for as many events, and for all that a message behind them could bring. */
  async function expectGot(page: Page, expected: string[]): Promise<void> {
    const all = () => page.got.length >= expected.length
    await until(`${expected.length} events`, all, 10_000).catch(() => undefined)
    expect(page.got).toEqual(expected)
  }

  test('there is one where one stream has all topics, and not otherwise', () => {
    const one = { sources: ['log', 'log'], route: () => 'a' }
    const made = [one, { ...one, sources: ['log', 'other'] }, { ...one, log: false }, {}]
    const drivers = made.map((options) => redisStreamsDriver(fixture.url, options))
    expect(drivers.map((driver) => driver.log !== undefined)).toEqual([true, false, false, false])
  })

  describe.each(libraries)('with %s', (library) => {
    test('a client that goes to another server with every message gets each once', async () => {
      const both = [server({}, library), server({}, library)]
      let page = await connect(both[0]!, ['a', 'b'])
      const got: string[] = []
      for (let i = 1; i <= 20; i++) {
        await add(`${i}`, 'a,b')
        await until('it', () => page.got.length > 0)
        await add(`${i} and a half`, 'b')
        const position = leave(page)
        got.push(...page.got)
        page = await connect(both[i % 2]!, ['a', 'b'], position)
      }
      await add('last')
      await until('the last', () => page.got.includes('a=last'))
      got.push(...page.got)
      const numbers = Array.from({ length: 20 }, (_, index) => index + 1)
      const all = numbers.flatMap((i) => [`a=${i}`, `b=${i}`, `b=${i} and a half`])
      expect(got).toEqual([...all, 'a=last'])
    })

    test('what the history of the other server has let go comes from the stream', async () => {
      const [one, two] = [server(SMALL, library), server(SMALL, library)]
      const [page, stays] = [await connect(one, ['a', 'b']), await connect(two, ['a', 'b'])]
      await add('0')
      await expectGot(page, ['a=0'])
      const position = leave(page)
      const other = 'x'.repeat(3_000)
      for (let i = 1; i <= 2_000; i += 250) {
        await addMany(i, i + 249)
        await add(other, 'b')
      }
      await until('all', () => stays.got.length === 2_009, 20_000)
      expect(two.streamer.stats().history.frames).toBeLessThan(50)
      const back = await connect(two, ['a'], position)
      await expectGot(back, many(1, 2_000))
      expect(two.streamer.stats()).toMatchObject({ messagesLost: 0, resumes: { exact: 1 } })
    })

    test('a server that was brought a client reads it too', async () => {
      const { target, end } = await ownClient(library, fixture.url)
      const driver = redisStreamsDriver(target, log)
      const one = { driver, streamer: new Streamer(driver, SMALL) }
      toClose.push({ close: end }, one.streamer)
      const page = await connect(one, ['a'])
      await addMany(1, 100)
      await expectGot(page, many(1, 100))
      const [first] = page.events.slice(1)
      await expectGot(await connect(one, ['a'], first!.lastEventId), many(2, 100))
    })
  })

  test('a Redis that is killed and comes back with what it had loses nothing', async () => {
    const [one, two] = [server(SMALL), server(SMALL)]
    const [page, stays] = [await connect(one, ['a']), await connect(two, ['a'])]
    await addMany(1, 100)
    await expectGot(page, many(1, 100))
    await expectGot(stays, many(1, 100))
    const position = leave(page)
    await addMany(101, 200)
    await fixture.restart()
    await addMany(201, 300)
    await expectGot(stays, many(1, 300))
    const back = await connect(two, ['a'], position)
    await expectGot(back, many(101, 300))
    expect(two.streamer.stats().messagesLost).toBe(0)
    expect(two.driver.log!.epoch).toBe(one.driver.log!.epoch)
  })

  test('a Redis that comes back empty is told by every server, and all agree from then on', async () => {
    await fixture.command('CONFIG', 'SET', 'appendonly', 'no')
    const [one, two] = [server(), server()]
    const [page, stays] = [await connect(one, ['a']), await connect(two, ['a'])]
    await addMany(1, 10)
    await expectGot(page, many(1, 10))
    const position = leave(page)
    const { epoch } = one.driver.log!
    await fixture.restart()
    await until('it is told', () => stays.got.includes('messages-lost:a'))
    await add('new')
    await expectGot(stays, [...many(1, 10), 'messages-lost:a', 'a=new'])
    const back = await connect(two, ['a'], position)
    await expectGot(back, ['messages-lost:a'])
    await until('both agree', () => one.driver.log!.epoch === two.driver.log!.epoch)
    expect(two.driver.log!.epoch).not.toBe(epoch)
    await add('newer')
    await expectGot(back, ['messages-lost:a', 'a=newer'])
    await add('newest')
    await expectGot(await connect(one, ['a'], leave(back)), ['a=newest'])
  })

  test('a Redis that comes back with an older state is told, whoever sees it first', async () => {
    const [one, two] = [server(), server()]
    const [page, stays] = [await connect(one, ['a']), await connect(two, ['a'])]
    await addMany(1, 3)
    await expectGot(page, many(1, 3))
    const dumped = await fixture.admin
      .withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
      .dump('log')
    await addMany(4, 6)
    await expectGot(stays, many(1, 6))
    await expectGot(page, many(1, 6))
    const { epoch } = one.driver.log!
    await fixture.command('RESTORE', 'log', '0', dumped, 'REPLACE')
    for (const it of [page, stays]) await expectGot(it, [...many(1, 6), 'messages-lost:a'])
    expect(one.driver.log!.epoch).toBe(two.driver.log!.epoch)
    expect(one.driver.log!.epoch).not.toBe(epoch)
    await add('on')
    for (const it of [page, stays]) await expectGot(it, [...many(1, 6), 'messages-lost:a', 'a=on'])
  })

  test('what was trimmed is told, and what follows comes', async () => {
    const one = server(SMALL)
    const page = await connect(one, ['a'])
    await add('0')
    await expectGot(page, ['a=0'])
    const position = leave(page)
    await addMany(1, 500)
    await fixture.command('XTRIM', 'log', 'MAXLEN', '300')
    const two = server(SMALL)
    await expectGot(await connect(two, ['a'], position), ['messages-lost:a', ...many(201, 500)])
    expect(two.streamer.stats().resumes).toMatchObject({ exact: 0, lost: 1 })
  })

  test('a first entry that is still there was not preceded by one that is gone', async () => {
    const position = leave(await connect(server(), ['a']))
    await addMany(1, 50)
    const back = await connect(server(), ['a'], position)
    await expectGot(back, many(1, 50))
  })

  test('what was deleted in the middle is told', async () => {
    const one = server()
    const page = await connect(one, ['a'])
    await add('0')
    await expectGot(page, ['a=0'])
    const position = leave(page)
    const ids = await addMany(1, 50)
    await fixture.command('XDEL', 'log', ids[19]!)
    const back = await connect(server(), ['a'], position)
    await expectGot(back, ['messages-lost:a', ...many(21, 50)])
    const later = await connect(server(), ['a'], leave(back))
    await add('51')
    await expectGot(later, ['a=51'])
  })

  test.each([2_000, 5_000])(
    '%d entries in one millisecond take no number of the next ones',
    async (size) => {
      const page = await connect(server(), ['a'])
      const burst = fixture.admin.multi()
      for (let index = 1; index <= size; index++) {
        burst.xAdd('log', '*', { topics: 'a', data: String(index) })
      }
      await burst.exec()
      for (let index = 1; index <= 200; index++) await add(String(size + index))
      await expectGot(page, many(1, size + 200))
    },
  )

  test('a newest entry that was deleted keeps nobody waiting for it', async () => {
    const [one, two] = [server(), server()]
    for (const it of [one, two]) await connect(it, ['a'])
    await fixture.admin
      .multi()
      .xAdd('log', '1-0', { topics: 'a', data: 'x' })
      .xDel('log', '1-0')
      .exec()
    const position = leave(await connect(server(), ['a']))
    expect(position).toMatch(/-2048=/)
    const back = await connect(two, ['a'], position)
    expect(back.events[0]!.lastEventId).toBe(position)
    await add('2')
    await expectGot(back, ['a=2'])
  })

  test('a stream that is deleted and made anew is told, on both servers', async () => {
    const [one, two] = [server(), server()]
    const pages = [await connect(one, ['a']), await connect(two, ['a'])]
    await addMany(1, 3)
    for (const page of pages) await expectGot(page, many(1, 3))
    const { epoch } = one.driver.log!
    await fixture.command('DEL', 'log')
    for (const page of pages) await expectGot(page, [...many(1, 3), 'messages-lost:a'])
    await until('both agree', () => one.driver.log!.epoch === two.driver.log!.epoch)
    expect(one.driver.log!.epoch).not.toBe(epoch)
    await add('new')
    for (const page of pages) await expectGot(page, [...many(1, 3), 'messages-lost:a', 'a=new'])
    await add('newer')
    const back = await connect(two, ['a'], leave(pages[0]!))
    await add('newest')
    await until('all', () => back.got.includes('a=newest'))
    expect(pages[0]!.got.concat(back.got).filter((it) => it.startsWith('a=new'))).toEqual([
      'a=new',
      'a=newer',
      'a=newest',
    ])
  })

  test('a deleted one that nobody has seen being made anew is told to who has read the old one', async () => {
    const page = await connect(server(), ['a'])
    await addMany(1, 3)
    await expectGot(page, many(1, 3))
    const position = leave(page)
    for (const it of toClose.splice(0)) await it.close()
    await fixture.command('DEL', 'log')
    await addMany(4, 6)
    await expectGot(await connect(server(), ['a'], position), ['messages-lost:a', ...many(4, 6)])
  })

  test('sequences that take numbers of later milliseconds are read again from anywhere', async () => {
    const one = server()
    const page = await connect(one, ['a'])
    const ids = ['5-1', '5-1030', '5-4000', '9-0', '9-5000', '20-0', '20-9']
    for (const id of ids) await add(id, 'a', id)
    await expectGot(
      page,
      ids.map((id) => `a=${id}`),
    )
    for (const [index, { lastEventId }] of page.events.slice(1).entries()) {
      const rest = ids.slice(index + 1).map((id) => `a=${id}`)
      await expectGot(await connect(server(), ['a'], lastEventId), rest)
    }
  })

  test('an entry whose number does not rise is told in its place', async () => {
    const page = await connect(server(), ['a'])
    for (const id of ['5-3000', '6-0', '8-0']) await add(id, 'a', id)
    await expectGot(page, ['a=5-3000', 'messages-lost:a', 'a=8-0'])
    const { lastEventId } = page.events[0]!
    const back = await connect(server(), ['a'], lastEventId)
    await until('the end', () => back.got.includes('a=8-0'))
    expect(back.got.filter((it) => it !== 'a=5-3000')).toEqual(['messages-lost:a', 'a=8-0'])
  })

  test('ids that are no times are refused', async () => {
    await add('x', 'a', '1700000000000000-0')
    const { driver } = server()
    await expect(driver.log!.open()).rejects.toThrow(/1700000000000000-0.*XADD \*.*log: false/)
  })

  test('what route and payload refuse is told, live and again', async () => {
    const made = () => {
      const driver = redisStreamsDriver(fixture.url, log)
      toClose.push(driver)
      return driver
    }
    const driver = made()
    const sink = recordingSink()
    await driver.subscribe('a', sink)
    await fixture.command('XADD', 'log', '*', 'topics', 'a', 'other', 'x')
    await add('1')
    await sink.received(1)
    expect(sink.entries.map(({ type }) => type)).toEqual(['gap', 'message'])
    const again = made()
    await again.log!.open()
    const entries = await collect(again.log!.read(['a'], 0, again.log!.position))
    expect(entries).toEqual([
      { lostThrough: expect.any(Number) },
      { number: again.log!.position, topics: ['a'], payload: [Buffer.from('1')] },
    ])
  })

  test('a payload that makes neither text nor bytes is told, live and again', async () => {
    const payload = (() => ({ no: 'text' })) as unknown as () => string
    const driver = redisStreamsDriver(fixture.url, { ...log, payload })
    toClose.push(driver)
    const sink = recordingSink()
    await driver.subscribe('a', sink)
    await add('1')
    await sink.until('a gap', () => sink.count('gap') === 1)
    expect(sink.entries).toMatchObject([{ reason: expect.stringContaining('it returned object') }])
    const entries = await collect(driver.log!.read(['a'], 0, driver.log!.position))
    expect(entries).toEqual([{ lostThrough: driver.log!.position }])
  })

  test('the permissions that the docs name are enough', async () => {
    const url = await fixture.documentedUser('docs/drivers/redis-streams.md')
    const driver = redisStreamsDriver(url, { ...log, sources: ['app:log'] })
    toClose.push(driver)
    await driver.log!.open()
    const sink = recordingSink()
    await driver.subscribe('a', sink)
    await fixture.command('XADD', 'app:log', '*', 'topics', 'a', 'data', 'x')
    await sink.received(1)
    const { position } = driver.log!
    expect(await collect(driver.log!.read(['a'], 0, position))).toHaveLength(1)
    const denied = redisStreamsDriver(url, log)
    toClose.push(denied)
    await expect(denied.log!.open()).rejects.toThrow(/NOPERM.*Allow it/)
  })
})
