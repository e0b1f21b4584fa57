/** @needs a Redis server that may be stopped and started */
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { redisDriver } from '../../../src/drivers/redis.js'
import type { RedisDriverOptions, RedisTarget } from '../../../src/drivers/redis.js'
import { checkNoSilentLoss } from '../../../src/testing/load.js'
import { recordingSink, until } from '../../../src/testing/index.js'
import { ADMIN, startRedis } from '../../brokers/redis.js'
import { freePort } from '../../brokers/process.js'
import { openEvents } from '../../support/event-stream.js'
import { startScript } from '../../support/script.js'
import { eventually } from '../../support/until.js'
import { cutUnderLoad } from './bursts.js'
import { libraries, LIMITS, QUICK, RedisFixture } from './redis-harness.js'

describe('redisDriver on a Redis server', () => {
  const fixture = new RedisFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  const publish = async (channel: string, payload: string) =>
    fixture.command('PUBLISH', channel, payload)

  describe.each(libraries)('with %s', (library) => {
    const toClose: { close(): Promise<void> }[] = []
    afterEach(async () => {
      for (const it of toClose.splice(0).reverse()) await it.close()
    })

    function made(options: RedisDriverOptions = {}, target: RedisTarget = fixture.url) {
      const driver = redisDriver(target, { library, ...LIMITS, ...options })
      toClose.push(driver)
      return driver
    }

    test('a topic is read from the channel that address gives, with what payload makes', async () => {
      const driver = made({
        address: (topic) => `app:${topic.toLowerCase()}`,
        payload: ({ channel, payload }) => `${channel} ${payload.toString()}`,
      })
      const sinks = [recordingSink(), recordingSink()]
      const [first] = await Promise.all([
        driver.subscribe('Likes', sinks[0]!),
        driver.subscribe('LIKES', sinks[1]!),
      ])
      const subscribed = async () => (await fixture.connections()).map(({ sub }) => sub)
      await eventually(async () => expect((await subscribed()).sort()).toEqual(['0', '1']))
      await publish('app:likes', '1')
      for (const sink of sinks) await sink.received(1)
      await first.close()
      await publish('app:likes', '2')
      await sinks[1]!.received(2)
      expect(sinks.map((sink) => sink.texts())).toEqual([
        ['app:likes 1'],
        ['app:likes 1', 'app:likes 2'],
      ])
    })

    test('a channel that Redis forbids is told in its own words, and what to do about it', async () => {
      const subscribing = made().subscribe('denied.x', recordingSink())
      await expect(subscribing).rejects.toThrow(/NOPERM.*Allow it in the user's ACL/)
    })

    test('the permissions that the docs name are enough', async () => {
      const url = await fixture.documentedUser('docs/drivers/redis.md')
      const driver = made({ address: (topic) => `app:${topic}` }, url)
      const sink = recordingSink()
      const subscription = await driver.subscribe('likes', sink)
      await publish('app:likes', 'x')
      await sink.received(1)
      await subscription.close()
      const denied = made({}, url).subscribe('other', recordingSink())
      await expect(denied).rejects.toThrow('NOPERM')
    })

    test('a permission that is withdrawn ends that topic and no other', async () => {
      await fixture.command('ACL', 'SETUSER', 'some', 'on', '>pw', '+@all', '&kept', '&withdrawn')
      const driver = made({}, fixture.url.replace('://', '://some:pw@'))
      const [ended, other] = [recordingSink(), recordingSink()]
      const subscription = await driver.subscribe('withdrawn', ended)
      await driver.subscribe('kept', other)
      await fixture.command('ACL', 'SETUSER', 'some', 'resetchannels', '&kept')
      await ended.until('fail', () => ended.count('fail') === 1)
      await subscription.close()
      await other.until('a gap', () => other.count('gap') === 1)
      await publish('kept', 'still here')
      await other.received(1)
      expect(ended.entries).toEqual([
        {
          type: 'fail',
          error: expect.objectContaining({ message: expect.stringMatching(/NOPERM/) }),
        },
      ])
    })

    test('credentials that are withdrawn end every topic, and new ones let the next in', async () => {
      await fixture.command('ACL', 'SETUSER', 'gone', 'on', '>pw', '+@all', 'allchannels')
      const driver = made({}, fixture.url.replace('://', '://gone:pw@'))
      const sinks = [recordingSink(), recordingSink()]
      await Promise.all(sinks.map((sink, index) => driver.subscribe(`g${index}`, sink)))
      await fixture.command('ACL', 'DELUSER', 'gone')
      for (const sink of sinks) {
        await sink.until('fail', () => sink.count('fail') === 1)
      }
      await expect(driver.subscribe('g2', recordingSink())).rejects.toThrow(
        /refused the credentials/,
      )
      await fixture.command('ACL', 'SETUSER', 'gone', 'on', '>pw', '+@all', 'allchannels')
      const again = recordingSink()
      await driver.subscribe('g0', again)
      await publish('g0', 'x')
      await again.received(1)
    })

    test('wrong credentials are named as the reason', async () => {
      const wrong = made({}, fixture.url.replace('://', `://${ADMIN.username}:wrong@`))
      await expect(wrong.connect()).rejects.toThrow(/127\.0\.0\.1:\d+ refused the credentials/)
      const admin = `://${ADMIN.username}:${ADMIN.password}@`
      await made({}, fixture.url.replace('://', admin)).subscribe('denied.no', recordingSink())
    })

    test('a server that is started later is found by the next subscribe', async () => {
      const port = await freePort()
      const driver = made({}, `redis://127.0.0.1:${port}`)
      await expect(driver.connect()).rejects.toThrow(`127.0.0.1:${port}`)
      await expect(driver.subscribe('x', recordingSink())).rejects.toThrow('Start it, or correct')
      const late = await startRedis({ port })
      try {
        await driver.connect()
        await driver.subscribe('x', recordingSink())
        await driver.close()
      } finally {
        await late.stop()
      }
    })

    test('a link that is cut again and again under load: in order, once, every loss told', async () => {
      const driver = made()
      const sink = recordingSink()
      await driver.subscribe('load', sink)
      const confirmed = await cutUnderLoad(
        sink,
        (payloads) => Promise.all(payloads.map((payload) => publish('load', payload))),
        () => fixture.link.cut(),
      )
      checkNoSilentLoss('load', sink.entries, confirmed)
      expect(sink.count('gap')).toBeGreaterThan(0)
    })

    test('every topic that is open gets one gap when the server cuts the connection', async () => {
      const driver = made()
      const sinks = Array.from({ length: 50 }, () => recordingSink())
      await Promise.all(sinks.map((sink, index) => driver.subscribe(`gaps.${index}`, sink)))
      // As when a subscriber is too slow for client-output-buffer-limit.
      await fixture.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
      for (const sink of sinks) await sink.until('a gap', () => sink.count('gap') === 1)
      await publish('gaps.7', 'after')
      await sinks[7]!.received(1)
      expect(sinks.map((sink) => sink.entries.map(({ type }) => type).join())).toEqual(
        sinks.map((_, index) => (index === 7 ? 'gap,message' : 'gap')),
      )
    })

    test('with the default settings a link gone silent is noticed in about three seconds', async () => {
      const driver = redisDriver(fixture.url, { library })
      toClose.push(driver)
      const sink = recordingSink()
      await driver.subscribe('silent', sink)
      const from = performance.now()
      fixture.link.stall()
      await sink.until('a gap', () => sink.count('gap') === 1)
      expect(performance.now() - from).toBeGreaterThan(1_900)
    })

    test('a frozen server costs no more than the connect timeout, and close no longer', async () => {
      const own = await startRedis()
      try {
        const driver = made({ connectTimeout: 300 }, own.url)
        const closing = made({ connectTimeout: 20_000, subscribeTimeout: 20_000 }, own.url)
        await own.process.freeze()
        await expect(driver.connect()).rejects.toThrow('within 300 ms')
        const subscribing = closing.subscribe('x', recordingSink()).catch((error: Error) => error)
        await closing.close()
        expect(String(await subscribing)).toContain('closed')
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

    test('closing while the server is away settles and leaves nothing running', async () => {
      const own = await startRedis()
      const driver = made({}, own.url)
      await driver.subscribe('x', recordingSink())
      await own.stop()
      const from = performance.now()
      await driver.close()
      expect(performance.now() - from).toBeLessThan(15_000)
    })

    test('a client that was brought is neither used nor changed, whatever its settings', async () => {
      await fixture.command('ACL', 'SETUSER', 'strange', 'on', '>pw', '+@all', 'allchannels')
      const { client, end } = await strangeClient(fixture.url.replace('://', '://strange:pw@'))
      try {
        const driver = made({}, client)
        const sink = recordingSink()
        await driver.subscribe('brought', sink)
        await publish('brought', 'x')
        await sink.received(1)
        const mine = (await fixture.connections()).filter(({ name }) => name === 'mine')
        // Its own connection, in no subscriber mode, and our two with the same name.
        expect(mine.map(({ sub }) => sub).sort()).toEqual(['0', '0', '1'])
        await driver.close()
        await until('ours is gone', async () => (await fixture.connections()).length === 1)
      } finally {
        await end()
      }
    })

    /** A client with settings that would harm a driver, if they were taken over. */
    async function strangeClient(url: string) {
      if (library === 'ioredis') {
        const client = new Redis(url, {
          lazyConnect: true,
          connectionName: 'mine',
          keyPrefix: 'prefix:',
          commandTimeout: 1_000,
          stringNumbers: true,
          enableReadyCheck: false,
          retryStrategy: () => null,
          disconnectTimeout: 1,
        })
        await client.connect()
        return { client, end: async () => client.disconnect() }
      }
      const client = createClient({
        url,
        name: 'mine',
        disableClientInfo: true,
        socket: { reconnectStrategy: false },
      })
      await client.connect()
      return { client, end: async () => client.destroy() }
    }
  })

  test('a busy process takes no living link for a dead one', async () => {
    const driver = redisDriver(fixture.url, { ...QUICK })
    const sink = recordingSink()
    await driver.subscribe('busy', sink)
    for (let round = 0; round < 3; round++) {
      const end = performance.now() + 700
      while (performance.now() < end);
      await publish('busy', String(round))
      await sink.received(round + 1)
    }
    expect(sink.count('gap')).toBe(0)
    await driver.close()
  })

  test('the example publishes and shows', async () => {
    const env = { REDIS_URL: fixture.server!.adminUrl }
    const script = await startScript('examples/redis.ts', env)
    try {
      const stream = await openEvents(`${script.url}/events?topic=news`)
      await stream.next('news', ({ event }) => event === 'news')
      expect(await script.stop()).toBe(0)
    } finally {
      await script.stop()
    }
  })
})
