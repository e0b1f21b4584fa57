import { redisDriver } from '../../../src/drivers/redis.js'
import type { RedisDriver, RedisTarget } from '../../../src/drivers/redis.js'
import { redisStreamsDriver } from '../../../src/drivers/redis-streams.js'
import { recordingSink } from '../../../src/testing/index.js'

type Make = (target: RedisTarget, options?: object) => RedisDriver
const makers: [string, Make][] = [
  ['redisDriver', redisDriver],
  ['redisStreamsDriver', redisStreamsDriver],
]
const nothing = (): undefined => undefined

describe.each(makers)('%s refuses at once', (driver, make) => {
  test.each([
    [''],
    ['127.0.0.1'],
    ['redis://'],
    ['http://127.0.0.1:6379'],
    ['redis://host:port'],
    ['redis://host/database'],
    ['redis://ann:100%@127.0.0.1'],
    [undefined],
    [null],
    [42],
    [{}],
    [{ url: 'redis://127.0.0.1' }],
    // A cluster of ioredis, and one of node-redis.
    [{ duplicate: nothing, callBuffer: nothing, isCluster: true }],
    [{ duplicate: nothing, sendCommand: nothing }],
  ])('%j as a target', (target) => {
    const making = () => make(target as RedisTarget)
    expect(making).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(making).toThrow(new RegExp(`${driver} got .*redis://`, 's'))
  })

  test('and keeps the password of a bad address to itself', () => {
    expect(() => make('http://ann:s3cret@127.0.0.1')).toThrow(/^(?!.*s3cret)/s)
  })

  test.each([
    [{ encoding: 'latin1' }, 'encoding'],
    [{ subscribeTimeout: 0 }, 'subscribeTimeout'],
    [{ connectTimeout: Infinity }, 'connectTimeout'],
    [{ pingInterval: -1 }, 'pingInterval'],
    [{ pingTimeout: NaN }, 'pingTimeout'],
    [{ library: 'redis4' }, 'library'],
    [{ address: 'orders' }, 'address'],
    [{ payload: 'orders' }, 'payload'],
    [{ adress: () => 'x' }, 'adress'],
  ])('%p as options', (options, name) => {
    const making = () => make('redis://127.0.0.1', options)
    expect(making).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(making).toThrow(name)
  })

  test.each([
    ['', 'is not empty'],
    ['a\ud800b', 'lone surrogates'],
    [42, 'is a string'],
  ])('%j as a name, before Redis is asked', async (name, rule) => {
    const made = make('redis://127.0.0.1:1', { address: () => name as string })
    const subscribing = made.subscribe('topic', recordingSink())
    await expect(subscribing).rejects.toMatchObject({ code: 'ERR_UNIFROST_TOPIC_NAME' })
    await expect(made.subscribe('topic', recordingSink())).rejects.toThrow(rule)
    await made.close()
  })

  test('what is asked of it when it is closed', async () => {
    const made = make('redis://127.0.0.1:1')
    await Promise.all([made.close(), made.close()])
    await expect(made.connect()).rejects.toThrow('closed')
    await expect(made.subscribe('topic', recordingSink())).rejects.toThrow('closed')
  })
})

test.each([
  [{ field: '' }, 'field'],
  [{ checkInterval: 0 }, 'checkInterval'],
  [{ sources: ['a'] }, 'together'],
  [{ route: nothing }, 'together'],
  [{ sources: ['a'], route: nothing, address: String }, 'not both'],
  [{ sources: [], route: nothing }, 'sources'],
])('redisStreamsDriver refuses %p', (options, part) => {
  const making = () => redisStreamsDriver('redis://127.0.0.1', options)
  expect(making).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
  expect(making).toThrow(part)
})
