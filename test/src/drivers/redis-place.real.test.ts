/** @needs Redis servers that may be stopped and started */
import { redisDriver } from '../../../src/drivers/redis.js'
import type { RedisDriver } from '../../../src/drivers/redis.js'
import { recordingSink } from '../../../src/testing/index.js'
import type { RecordingSink } from '../../../src/testing/index.js'
import { eventually } from '../../support/until.js'
import { libraries, LIMITS, RedisFixture } from './redis-harness.js'

/** How long copying a master's data may take: Redis begins with it when it pleases. */
const BOUND = 30_000

describe.each(libraries)('redisDriver (%s) on a server that changes its place', (library) => {
  const [master, other] = [new RedisFixture(), new RedisFixture()]
  const toClose: RedisDriver[] = []
  beforeAll(async () => {
    await Promise.all([master, other].map((it) => it.start('repl-diskless-sync-delay 0')))
  })
  afterAll(() => Promise.all([master, other].map((it) => it.stop())))
  afterEach(async () => {
    for (const it of toClose.splice(0)) await it.close()
    for (const it of [master, other]) await it.command('REPLICAOF', 'NO', 'ONE')
  })

  function made(url = master.server!.adminUrl): RedisDriver {
    const driver = redisDriver(url, { ...LIMITS, library })
    toClose.push(driver)
    return driver
  }

  async function opened(driver: RedisDriver): Promise<RecordingSink> {
    const sink = recordingSink()
    await driver.subscribe('news', sink)
    return sink
  }

  const follow = async (follower: RedisFixture, leader: RedisFixture) => {
    for (const [name, value] of [
      ['masteruser', 'admin'],
      ['masterauth', 'admin-secret'],
    ] as const) {
      await follower.command('CONFIG', 'SET', name, value)
    }
    await follower.command('REPLICAOF', '127.0.0.1', String(leader.server!.port))
  }

  test('a master that becomes a replica without a word: a gap, once it hears its new master', async () => {
    const driver = made()
    const sink = await opened(driver)
    await master.command('PUBLISH', 'news', '1')
    await sink.received(1)
    await follow(master, other)
    await sink.until('a gap', () => sink.count('gap') === 1, BOUND)
    // By then nothing that is published to the new master is missed.
    await other.command('PUBLISH', 'news', '2')
    await sink.received(2, BOUND)
    expect(sink.entries).toMatchObject([
      { payload: Buffer.from('1') },
      { type: 'gap', reason: expect.stringContaining('replica') },
      { payload: Buffer.from('2') },
    ])
  })

  test('a replica that becomes a master: a gap', async () => {
    await follow(master, other)
    const driver = made()
    await eventually(() => driver.connect(), BOUND)
    const sink = await opened(driver)
    await master.command('REPLICAOF', 'NO', 'ONE')
    await sink.until('a gap', () => sink.count('gap') === 1, BOUND)
    await master.command('PUBLISH', 'news', '1')
    await sink.received(1)
    expect(sink.entries.map(({ type }) => type)).toEqual(['gap', 'message'])
  })

  test('a replica that does not hear its master is refused, with what to do', async () => {
    await master.command('REPLICAOF', '127.0.0.1', '1')
    const subscribing = made().subscribe('news', recordingSink())
    await expect(subscribing).rejects.toThrow(/is a replica that does not hear.*Wait until/)
  })

  test('a connection that is cut takes the one beside it along', async () => {
    const driver = made(master.url)
    const sink = await opened(driver)
    for (let round = 1; round <= 3; round++) {
      await master.command('CLIENT', 'KILL', 'TYPE', round === 2 ? 'normal' : 'pubsub')
      await sink.until('a gap', () => sink.count('gap') === round, BOUND)
    }
    await eventually(async () => expect(await master.connections()).toHaveLength(2))
    await driver.close()
    await eventually(async () => expect(await master.connections()).toHaveLength(0))
  })

  test('who may not ask for the role is told of a new one, too', async () => {
    const rights = ['-@all', '+ping', '+subscribe', '+unsubscribe', '&*']
    await master.command('ACL', 'SETUSER', 'asks-nothing', 'on', '>pw', ...rights)
    const sink = await opened(made(master.url.replace('://', '://asks-nothing:pw@')))
    await follow(master, other)
    await sink.until('a gap', () => sink.count('gap') === 1, BOUND)
  })
})
