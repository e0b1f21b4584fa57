/** @needs a Redis server that may be stopped and started */
import { redisStreamsDriver } from '../../../src/drivers/redis-streams.js'
import type { RedisStreamsDriverOptions } from '../../../src/drivers/redis-streams.js'
import { checkNoSilentLoss } from '../../../src/testing/load.js'
import { recordingSink, until } from '../../../src/testing/index.js'
import type { RecordingSink } from '../../../src/testing/index.js'
import { openEvents } from '../../support/event-stream.js'
import { startScript } from '../../support/script.js'
import { nextBurst } from './bursts.js'
import { libraries, RedisFixture } from './redis-harness.js'
import { addEntry, STREAM_LIMITS } from './redis-streams-harness.js'
import { eventually } from '../../support/until.js'

describe('redisStreamsDriver on a Redis server', () => {
  const fixture = new RedisFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  describe.each(libraries)('with %s', (library) => {
    const toClose: { close(): Promise<void> }[] = []
    afterEach(async () => {
      for (const it of toClose.splice(0).reverse()) await it.close()
      await fixture.command('FLUSHALL')
    })

    function made(options: RedisStreamsDriverOptions = {}, url = fixture.url) {
      const driver = redisStreamsDriver(url, { library, ...STREAM_LIMITS, ...options })
      toClose.push(driver)
      return driver
    }
    const add = async (stream: string, payload: string, ...trimming: string[]) =>
      addEntry(fixture, stream, payload, ...trimming)
    const shape = (sink: RecordingSink) =>
      sink.entries.map((entry) => (entry.type === 'message' ? String(entry.payload) : entry.type))

    test('a topic is read from the stream that address gives, from now on', async () => {
      await add('app:likes', 'before')
      const sink = recordingSink()
      await made({ address: (topic) => `app:${topic}` }).subscribe('likes', sink)
      await add('app:likes', 'after')
      await sink.received(1)
      expect(shape(sink)).toEqual(['after'])
    })

    test('field or payload say what is sent, and an entry without it is told as a gap', async () => {
      const [body, all] = [recordingSink(), recordingSink()]
      await made({ field: 'body' }).subscribe('fields', body)
      await made({
        payload: ({ stream, id, fields }) => `${stream} ${id} ${Object.keys(fields).join()}`,
      }).subscribe('fields', all)
      const bytes = Buffer.from([0xff, 0, 0xc3])
      await fixture.command('XADD', 'fields', '1-1', '__proto__', 'x', 'body', bytes)
      await fixture.command('XADD', 'fields', '1-2', 'other', 'y')
      await all.received(2)
      await body.until('a gap', () => body.count('gap') === 1)
      expect(body.entries).toEqual([
        { type: 'message', payload: bytes },
        { type: 'gap', reason: expect.stringContaining('Entry 1-2 has no field body') },
      ])
      expect(shape(all)).toEqual(['fields 1-1 __proto__,body', 'fields 1-2 other'])
    })

    test('10,000 topics are fed by two streams, over two connections', async () => {
      const driver = made({
        sources: ['orders', 'refunds'],
        route: ({ fields }) => [`user-${String(fields['user'])}`, 'all'],
      })
      const sinks = Array.from({ length: 10_000 }, () => recordingSink())
      const all = recordingSink()
      await driver.subscribe('all', all)
      await Promise.all(sinks.map((sink, index) => driver.subscribe(`user-${index}`, sink)))
      await eventually(async () => expect(await fixture.connections()).toHaveLength(2))
      for (let index = 0; index < 100; index++) {
        const stream = index % 2 ? 'orders' : 'refunds'
        const user = String(index * 100)
        await fixture.command('XADD', stream, '*', 'user', user, 'data', `for ${user}`)
      }
      await fixture.command('XADD', 'orders', '*', 'user', 'nobody', 'data', 'for nobody')
      await all.received(101)
      sinks.forEach((sink, index) => {
        expect(sink.texts()).toEqual(index % 100 ? [] : [`for ${index}`])
      })
    })

    test('another stream is read at once, however long a read waits', async () => {
      const driver = made({ pingInterval: 20_000, checkInterval: 60_000 })
      for (let round = 0; round < 10; round++) {
        const sink = recordingSink()
        await driver.subscribe(`next.${round}`, sink)
        await add(`next.${round}`, 'x')
        await sink.received(1, 5_000)
      }
    })

    test('the permissions that the docs name are enough', async () => {
      const url = await fixture.documentedUser('docs/drivers/redis-streams.md')
      const driver = made({ address: (topic) => `app:${topic}`, pingInterval: 20_000 }, url)
      for (const topic of ['likes', 'shares', 'views']) {
        const sink = recordingSink()
        await driver.subscribe(topic, sink)
        await add(`app:${topic}`, 'x')
        await sink.received(1, 5_000)
      }
      const denied = made({}, url).subscribe('other', recordingSink())
      await expect(denied).rejects.toThrow('NOPERM')
    })

    test('a user without the CLIENT commands reads too, a little later', async () => {
      const rights = ['+ping', '+xread', '+xinfo|stream', '%R~*']
      await fixture.command('ACL', 'SETUSER', 'plain', 'reset', 'on', '>pw', ...rights)
      const driver = made({}, fixture.url.replace('://', '://plain:pw@'))
      for (const name of ['plain.1', 'plain.2']) {
        const sink = recordingSink()
        await driver.subscribe(name, sink)
        await add(name, 'x')
        await sink.received(1)
      }
    })

    test('what was added while the link was down comes without a gap', async () => {
      const sink = recordingSink()
      await made().subscribe('kept', sink)
      await add('kept', '0')
      await sink.received(1)
      fixture.link.stall()
      for (let index = 1; index < 250; index++) await add('kept', String(index))
      await sink.received(250)
      expect(shape(sink)).toEqual(Array.from({ length: 250 }, (_, index) => String(index)))
    })

    test('what was trimmed while the link was down is a gap in its place', async () => {
      const sink = recordingSink()
      await made().subscribe('trimmed', sink)
      await add('trimmed', 'first')
      await sink.received(1)
      fixture.link.stall()
      for (let index = 0; index < 50; index++) await add('trimmed', String(index), 'MAXLEN', '5')
      await sink.received(6)
      expect(shape(sink)).toEqual(['first', 'gap', '45', '46', '47', '48', '49'])
      expect(sink.entries[1]).toMatchObject({ reason: expect.stringContaining('45 entries') })
    })

    test('a stream of one entry, read in time, has no gaps', async () => {
      const sink = recordingSink()
      await made().subscribe('latest', sink)
      for (let index = 0; index < 30; index++) {
        await add('latest', String(index), 'MAXLEN', '1')
        await sink.received(index + 1)
      }
      expect(shape(sink)).toEqual(Array.from({ length: 30 }, (_, index) => String(index)))
    })

    test.each<[string, string[]]>([
      ['XTRIM', ['XTRIM', 'removed', 'MAXLEN', '0']],
      ['MINID', ['XTRIM', 'removed', 'MINID', '99999999999999']],
      ['DEL', ['DEL', 'removed']],
      ['EXPIRE', ['EXPIRE', 'removed', '0']],
    ])('what %s removed unread is a gap before the next entry, and not later', async (_, how) => {
      const sink = recordingSink()
      await made({ checkInterval: 60_000 }).subscribe('removed', sink)
      for (let index = 0; index < 10; index++) await add('removed', String(index))
      await sink.received(10)
      // A stream that is made anew within the millisecond of its last entry begins with lower ids.
      const last = Date.now()
      await until('another millisecond', () => Date.now() > last + 1)
      const unread = ['10', '11', '12'].map((it) => ['XADD', 'removed', '*', 'data', it])
      const next = ['XADD', 'removed', '*', 'data', '13']
      const all = fixture.admin.multi()
      for (const command of [...unread, how, next]) all.addCommand(command)
      await all.exec()
      await add('removed', '14')
      await sink.received(12)
      expect(shape(sink).slice(10)).toEqual(['gap', '13', '14'])
    })

    test('a stream that is trimmed faster than it is read: in order, once, every loss told', async () => {
      const sink = recordingSink()
      await made().subscribe('flood', sink)
      const confirmed: number[] = []
      for (let burst = 0; burst < 40; burst++) {
        const numbers = Array.from({ length: 100 }, (_, index) => burst * 100 + index + 1)
        await Promise.all(numbers.map(async (it) => add('flood', String(it), 'MAXLEN', '10')))
        confirmed.push(...numbers)
      }
      await sink.until('the last', () => sink.texts().includes('4000'))
      checkNoSilentLoss('flood', sink.entries, confirmed)
      expect(sink.count('gap')).toBeGreaterThan(0)
    })

    test('a link that is cut again and again under load: everything, in order, once', async () => {
      const sink = recordingSink()
      await made().subscribe('load', sink)
      let last = 0
      for (let burst = 0; burst < 100; burst++) {
        const numbers = Array.from({ length: 20 }, () => ++last)
        await Promise.all(numbers.map(async (number) => add('load', String(number))))
        if (burst % 15 === 7) fixture.link.cut()
        await nextBurst()
      }
      await sink.received(last)
      expect(shape(sink)).toEqual(Array.from({ length: last }, (_, index) => String(index + 1)))
    })

    test('a stream that is deleted is a gap, and is read again when it is made anew', async () => {
      const [sink, other] = [recordingSink(), recordingSink()]
      const driver = made()
      await Promise.all([driver.subscribe('deleted', sink), driver.subscribe('other', other)])
      await add('deleted', '1')
      await sink.received(1)
      await fixture.command('DEL', 'deleted')
      await sink.until('a gap', () => sink.count('gap') === 1)
      await fixture.command('XADD', 'deleted', '1-1', 'data', '2')
      await sink.received(2)
      expect(shape(sink)).toEqual(['1', 'gap', '2'])
      expect(shape(other)).toEqual([])
    })

    test('a stream that is made anew with lower ids is a gap, and read on from there', async () => {
      const sink = recordingSink()
      await made().subscribe('lower', sink)
      await fixture.command('XADD', 'lower', '9999999999999-0', 'data', '1')
      await sink.received(1)
      await fixture.command('MULTI')
      await fixture.command('DEL', 'lower')
      await fixture.command('XADD', 'lower', '*', 'data', 'unseen')
      await fixture.command('EXEC')
      await sink.until('a gap', () => sink.count('gap') === 1)
      await add('lower', '2')
      await sink.received(2)
      expect(shape(sink)).toEqual(['1', 'gap', '2'])
    })

    test('a key that is no stream is refused, and one that becomes none ends its topic', async () => {
      const driver = made()
      const [ended, other] = [recordingSink(), recordingSink()]
      await driver.subscribe('changed', ended)
      await driver.subscribe('stays', other)
      await fixture.command('SET', 'text', 'x')
      const subscribing = driver.subscribe('text', recordingSink())
      await expect(subscribing).rejects.toThrow(/"text" is no stream.*WRONGTYPE/)
      await fixture.command('SET', 'changed', 'x')
      await ended.until('fail', () => ended.count('fail') === 1)
      await add('stays', 'x')
      await other.received(1)
      expect(shape(other)).toEqual(['x'])
    })

    test('a permission that is withdrawn ends that topic and no other', async () => {
      await fixture.command(
        'ACL',
        'SETUSER',
        'some',
        'reset',
        'on',
        '>pw',
        '+@all',
        '~kept',
        '~gone',
      )
      const driver = made({}, fixture.url.replace('://', '://some:pw@'))
      const [ended, other] = [recordingSink(), recordingSink()]
      await driver.subscribe('gone', ended)
      await driver.subscribe('kept', other)
      await fixture.command('ACL', 'SETUSER', 'some', 'resetkeys', '~kept')
      await ended.until('fail', () => ended.count('fail') === 1)
      await add('kept', 'x')
      await other.received(1)
      expect(shape(other)).toEqual(['x'])
      expect(String((ended.entries[0] as { error: Error }).error)).toMatch(/NOPERM.*Allow it/)
      await expect(driver.subscribe('gone', recordingSink())).rejects.toThrow(/NOPERM/)
    })

    test('a restart that loses what Redis had in memory is a gap', async () => {
      const sink = recordingSink()
      await made().subscribe('volatile', sink)
      await add('volatile', '1')
      await sink.received(1)
      await fixture.command('CONFIG', 'SET', 'appendonly', 'no')
      await add('volatile', '2')
      await sink.received(2)
      await fixture.restart()
      await sink.until('a gap', () => sink.count('gap') === 1)
      const goesOn = async () => {
        await add('volatile', '3')
        return sink.texts().includes('3')
      }
      await until('it goes on', goesOn)
      expect(shape(sink).slice(0, 4)).toEqual(['1', '2', 'gap', '3'])
    })
  })

  test('the example publishes and shows', async () => {
    const env = { REDIS_URL: fixture.server!.adminUrl }
    const script = await startScript('examples/redis-streams.ts', env)
    try {
      const stream = await openEvents(`${script.url}/events?topic=user-7`)
      const event = await stream.next('an order', ({ event }) => event === 'user-7')
      expect((JSON.parse(event.data) as { order: number }).order % 10).toBe(7)
      expect(await script.stop()).toBe(0)
    } finally {
      await script.stop()
    }
  })
})
