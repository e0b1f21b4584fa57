import { EventEmitter } from 'node:events'
import type { PubSubLink } from '../../../src/drivers/google-pubsub/link.js'
import { brokenRule, subscriptionName, toSource } from '../../../src/drivers/google-pubsub/names.js'
import { PubSubReader } from '../../../src/drivers/google-pubsub/reader.js'
import { googlePubSubDriver } from '../../../src/drivers/google-pubsub.js'
import type {
  GooglePubSubConfig,
  GooglePubSubDriverOptions,
  GooglePubSubMessage,
} from '../../../src/drivers/google-pubsub.js'
import { recordingSink } from '../../../src/testing/index.js'
import { PROJECT } from '../../brokers/google-pubsub.js'
import { freePort } from '../../brokers/process.js'

describe('googlePubSubDriver refuses at once', () => {
  test.each([
    ['http://localhost:8085', 'It takes a PubSub'],
    [null, 'It takes a PubSub'],
    [42, 'It takes a PubSub'],
    [[], 'It takes a PubSub'],
    [{ emulatorHost: 'localhost' }, 'host:port'],
    [{ emulatorHost: 'http://localhost:8085' }, 'host:port'],
  ])('%j as a client', (target, part) => {
    const make = () => googlePubSubDriver(target as GooglePubSubConfig)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(part)
  })

  test.each([
    [{ encoding: 'latin1' }, 'encoding'],
    [{ subscribeTimeout: 0 }, 'subscribeTimeout'],
    [{ connectTimeout: NaN }, 'connectTimeout'],
    [{ closeTimeout: -1 }, 'closeTimeout'],
    [{ heartbeat: Infinity }, 'heartbeat'],
    [{ expiration: 5 }, 'expiration'],
    [{ retention: 1e12 }, 'retention'],
    [{ resume: 'yes' }, 'resume'],
    [{ subscriptionPrefix: 'google' }, 'subscriptionPrefix'],
    [{ subscriptionPrefix: 'a/b' }, 'subscriptionPrefix'],
    [{ streamsPerConnection: 0 }, 'streamsPerConnection'],
    [{ streamsPerConnection: 1.5 }, 'streamsPerConnection'],
    [{ address: 'orders' }, 'address'],
    [{ sources: ['orders'] }, 'route'],
    [{ sources: [], route: (): string => 'x' }, 'sources'],
    [{ sources: ['a b'], route: (): string => 'x' }, 'letters, digits'],
    [{ sources: ['abc'], route: (): string => 'x', address: (): string => 'x' }, 'not both'],
    [{ adress: () => 'x' }, 'adress'],
  ])('%p as options', (options, name) => {
    const make = () => googlePubSubDriver({}, options as GooglePubSubDriverOptions)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(name)
  })
})

describe('names of topics', () => {
  test.each([
    'orders',
    'Abc',
    'a-b_c.d~e+f%20',
    'x'.repeat(255),
    'projects/other-project/topics/orders',
    'projects/example.com:mine/topics/abc',
  ])('%s can be held', (name) => {
    expect(brokenRule(name)).toBeUndefined()
  })

  test.each([
    ['ab', '3 to 255'],
    ['x'.repeat(256), '3 to 255'],
    ['1orders', 'starts with a letter'],
    ['a b c', 'letters, digits'],
    ['goog-orders', "'goog'"],
    ['a/b', 'projects/PROJECT'],
    ['projects/p/subscriptions/orders', 'projects/PROJECT'],
    [undefined, 'is a string'],
  ])('%s can not, and the error says why', async (name, rule) => {
    expect(() => toSource('topic', () => name as string)).toThrow(
      expect.objectContaining({ code: 'ERR_UNIFROST_TOPIC_NAME' }),
    )
    const driver = googlePubSubDriver({}, { address: () => name as string })
    // Nothing listens anywhere here: the name never got so far.
    await expect(driver.subscribe('topic', recordingSink())).rejects.toThrow(rule)
    await driver.close()
  })

  test('any name is a topic where route says what is for it', async () => {
    const emulatorHost = `127.0.0.1:${await freePort()}`
    const sources = {
      sources: ['orders'],
      route: (message: GooglePubSubMessage) => message.attributes['to'],
    }
    const driver = googlePubSubDriver({ projectId: PROJECT, emulatorHost }, sources)
    const subscribing = driver.subscribe('für jeden / einer', recordingSink())
    await expect(subscribing).rejects.toThrow('could be reached')
    await driver.close()
  })

  test('a subscription is named after its topic, within what is allowed', () => {
    expect(subscriptionName('unifrost', 'projects/p/topics/orders', '1')).toBe('unifrost.orders.1')
    const long = subscriptionName('p'.repeat(80), 'x'.repeat(255), 'r'.repeat(36))
    expect(long.length).toBeLessThanOrEqual(255)
  })
})

test('with resume, an outage is a gap only if it was longer than messages are kept', async () => {
  const client = {
    isEmulator: false,
    createSubscription: () => Promise.resolve(),
    subscription: () => Object.assign(new EventEmitter(), { close: () => Promise.resolve() }),
  }
  const ignore = () => undefined
  const link = {
    readers: new Set(),
    connected: () => Promise.resolve(client),
    lost: false,
    watch: ignore,
    hears: ignore,
    streams: ignore,
    ends: ignore,
    drop: () => Promise.resolve(),
  }
  const sink = recordingSink()
  const reader = new PubSubReader(link as unknown as PubSubLink, 'orders', sink as never, {
    subscribeTimeout: 1_000,
    closeTimeout: 1_000,
    subscriptionPrefix: 'unifrost',
    expiration: 86_400_000,
    retention: 600_000,
    resume: undefined,
    closing: new AbortController().signal,
  })
  await reader.open()
  reader.resumed(599_000, true)
  expect(sink.entries).toEqual([])
  reader.resumed(601_000, true)
  expect(sink.entries).toMatchObject([{ type: 'gap', reason: expect.stringContaining('601 s') }])
  await reader.close()
})

test('without the library the error names the command that installs it', async () => {
  jest.resetModules()
  jest.doMock('@google-cloud/pubsub', () => {
    const message = "Cannot find module '@google-cloud/pubsub'"
    throw Object.assign(new Error(message), { code: 'MODULE_NOT_FOUND' })
  })
  const fresh = await import('../../../src/drivers/google-pubsub.js')
  const driver = fresh.googlePubSubDriver()
  await expect(driver.connect()).rejects.toThrow('npm install @google-cloud/pubsub')
  await driver.close()
  jest.dontMock('@google-cloud/pubsub')
  jest.resetModules()
})

test('credentials that are not there are named as the reason, and what to do', async () => {
  const driver = googlePubSubDriver({ projectId: PROJECT, keyFilename: '/nowhere/key.json' })
  await expect(driver.connect()).rejects.toThrow(/nowhere.*GOOGLE_APPLICATION_CREDENTIALS/)
  await driver.close()
})

test('an emulator that is not there is named with its address', async () => {
  const address = `127.0.0.1:${await freePort()}`
  const driver = googlePubSubDriver({ projectId: PROJECT, emulatorHost: address })
  await expect(driver.connect()).rejects.toThrow(`at ${address}`)
  await expect(driver.connect()).rejects.toThrow('Start it')
  await driver.close()
  await expect(driver.connect()).rejects.toThrow('has been closed')
  await expect(driver.subscribe('orders', recordingSink())).rejects.toThrow('has been closed')
})
