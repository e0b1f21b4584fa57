/** @needs a Redis server that may be stopped and started */
import { redisDirectory } from '../../../src/directories/redis.js'
import { redisDriver } from '../../../src/drivers/redis.js'
import type { RedisDriver, RedisLibrary } from '../../../src/drivers/redis.js'
import { redisStreamsDriver } from '../../../src/drivers/redis-streams.js'
import { recordingSink, until } from '../../../src/testing/index.js'
import { adminClient } from '../../brokers/redis.js'
import { TestHost } from '../directories/contract.js'
import { libraries, LIMITS, RedisFixture } from './redis-harness.js'
import { addEntry, STREAM_LIMITS } from './redis-streams-harness.js'

interface Kind {
  name: string
  make(url: string, library: RedisLibrary): RedisDriver
  publish(fixture: RedisFixture, topic: string, payload: string): Promise<unknown>
  /** What a client is told of a link that was lost and is back. */
  told: string[]
}

const kinds: Kind[] = [
  {
    name: 'redisDriver',
    make: (url, library) => redisDriver(url, { ...LIMITS, connectTimeout: 3_000, library }),
    publish: (fixture, topic, payload) => fixture.command('PUBLISH', topic, payload),
    told: ['gap'],
  },
  {
    name: 'redisStreamsDriver',
    make: (url, library) =>
      redisStreamsDriver(url, { ...STREAM_LIMITS, connectTimeout: 3_000, library }),
    publish: addEntry,
    told: [],
  },
]
const cases = kinds.flatMap((kind) =>
  libraries.map((library) => [kind.name, library, kind] as const),
)

const toClose: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const it of toClose.splice(0).reverse()) await it.close()
})

function made<T extends { close(): Promise<void> }>(it: T): T {
  toClose.push(it)
  return it
}

describe('a Redis that asks for a password', () => {
  const fixture = new RedisFixture()
  beforeAll(async () => {
    await fixture.start()
    await fixture.command('ACL', 'SETUSER', 'default', 'resetpass', '>secret')
  })
  afterAll(() => fixture.stop())

  test.each(cases)(
    '%s (%s): without it, connect rejects as subscribe does',
    async (...[, library, kind]) => {
      const driver = made(kind.make(fixture.url, library))
      const refused = /127\.0\.0\.1:\d+ refused the credentials \(NOAUTH .*Check user and password/
      await expect(driver.connect()).rejects.toThrow(refused)
      await expect(driver.subscribe('x', recordingSink())).rejects.toThrow(refused)
      await made(kind.make(fixture.url.replace('://', '://:secret@'), library)).connect()
    },
  )

  test.each(libraries)('redisDirectory (%s): open says what it lacks', async (library) => {
    const directory = made(redisDirectory(fixture.url, { library }))
    await expect(directory.open(new TestHost())).rejects.toThrow(
      /127\.0\.0\.1:\d+ refused the credentials \(NOAUTH .*Check user and password/,
    )
  })
})

describe('a Redis that can not answer for a while', () => {
  const fixture = new RedisFixture()
  beforeAll(() => fixture.start('busy-reply-threshold 50'))
  afterAll(() => fixture.stop())

  test.each(cases)(
    '%s (%s): a script that runs for long ends no topic',
    async (...[, library, kind]) => {
      const driver = made(kind.make(fixture.url, library))
      const sink = recordingSink()
      await driver.subscribe('busy', sink)
      await kind.publish(fixture, 'busy', '1')
      await sink.received(1)
      const slow = adminClient(fixture.server!.adminUrl)
      await slow.connect()
      const script = slow.sendCommand(['EVAL', 'while true do end', '0']).catch(String)
      try {
        const refusesAll = () =>
          fixture.command('PING').then(
            () => false,
            () => true,
          )
        await until('the script to hold up others', refusesAll)
        fixture.link.cut()
        await expect(driver.connect()).rejects.toThrow(/is not ready \(BUSY /)
        await expect(driver.subscribe('other', recordingSink())).rejects.toThrow('BUSY ')
      } finally {
        await fixture.command('SCRIPT', 'KILL')
        await script
        slow.destroy()
      }
      if (kind.told.length > 0) await sink.until('a gap', () => sink.count('gap') === 1)
      await kind.publish(fixture, 'busy', '2')
      await sink.received(2)
      expect(sink.entries.map(({ type }) => type)).toEqual(['message', ...kind.told, 'message'])
      for (const entry of sink.entries) {
        if (entry.type === 'gap') expect(entry.reason).toContain('BUSY ')
      }
    },
  )

  test.each(libraries)('with %s, a log goes on after its server was a replica', async (library) => {
    const options = { ...STREAM_LIMITS, library, sources: ['log'], route: () => 'a' }
    const driver = made(redisStreamsDriver(fixture.url, options))
    const sink = recordingSink()
    await driver.subscribe('a', sink)
    await addEntry(fixture, 'log', '1')
    await sink.received(1)
    fixture.link.stall()
    await fixture.command('DEL', 'log', '{log}:epoch')
    await fixture.command('CONFIG', 'RESETSTAT')
    await fixture.command('REPLICAOF', '127.0.0.1', '1')
    try {
      const isRefused = async () =>
        String(await fixture.command('INFO', 'errorstats')).includes('READONLY')
      await until('the replica to refuse to write', isRefused, 10_000)
      const late = made(redisStreamsDriver(fixture.url, options))
      await expect(late.subscribe('a', recordingSink())).rejects.toThrow(
        /READONLY .*give the address of the master/,
      )
    } finally {
      await fixture.command('REPLICAOF', 'NO', 'ONE')
    }
    await sink.until('the loss', () => sink.count('gap') === 1)
    await addEntry(fixture, 'log', '2')
    await sink.received(2)
    expect(sink.entries.map(({ type }) => type)).toEqual(['message', 'gap', 'message'])
  })
})

describe('a Redis that does not take the connection', () => {
  const fixture = new RedisFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  test.each(cases)(
    '%s (%s): a database that it does not have is named',
    async (...[, library, kind]) => {
      const admin = fixture.server!.adminUrl
      const driver = made(kind.make(`${admin}/99`, library))
      await expect(driver.connect()).rejects.toThrow(
        /refused the connection \(ERR DB index.*Give the number of a database/,
      )
    },
  )

  test.each(cases)(
    '%s (%s): a server that is full is not taken for one that is off',
    async (...[, library, kind]) => {
      await fixture.command('CONFIG', 'SET', 'maxclients', '1')
      try {
        const driver = made(kind.make(fixture.url, library))
        const error = await driver.connect().catch((reason: Error) => reason)
        expect(String(error)).toMatch(/full \(maxclients\)|max number of clients/)
      } finally {
        await fixture.command('CONFIG', 'SET', 'maxclients', '1000')
      }
    },
  )
})
