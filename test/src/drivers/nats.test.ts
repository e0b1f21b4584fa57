import { natsDriver } from '../../../src/drivers/nats.js'
import type { NatsConnectOptions, NatsDriverOptions } from '../../../src/drivers/nats.js'
import { recordingSink } from '../../../src/testing/index.js'

describe('natsDriver refuses at once', () => {
  test.each([
    ['', 'as the address'],
    ['nats://', 'as the address'],
    ['http://127.0.0.1:4222', 'nats://host:port'],
    ['nats://host:port', 'nats://host:port'],
    ['nats://host:99999', 'nats://host:port'],
    ['nats://a:4222,,nats://b:4222', 'several with commas'],
    [{ servers: [] }, '{ servers }'],
    [{}, '{ servers }'],
    [undefined, '{ servers }'],
    [null, '{ servers }'],
    [42, '{ servers }'],
    [{ servers: [42] }, '{ servers }'],
  ])('%j as an address', (target, part) => {
    const make = () => natsDriver(target as NatsConnectOptions)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(part)
  })

  test('and keeps the password of a bad address to itself', () => {
    expect(() => natsDriver('http://ann:s3cret@127.0.0.1')).toThrow(/^(?!.*s3cret)/)
  })

  test.each([
    [{ encoding: 'latin1' }, 'encoding'],
    [{ subscribeTimeout: 0 }, 'subscribeTimeout'],
    [{ subscribeTimeout: NaN }, 'subscribeTimeout'],
    [{ connectTimeout: -1 }, 'connectTimeout'],
    [{ connectTimeout: Infinity }, 'connectTimeout'],
    [{ address: 'orders' }, 'address'],
    [{ connect: 'nats' }, 'connect'],
    [{ adress: () => 'x' }, 'adress'],
  ])('%p as options', (options, name) => {
    const make = () => natsDriver('nats://127.0.0.1', options as NatsDriverOptions)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(name)
  })
})

describe('natsDriver by address', () => {
  /** What the library would have been asked to connect with. */
  async function asked(target: string | NatsConnectOptions): Promise<NatsConnectOptions> {
    let options: NatsConnectOptions | undefined
    const driver = natsDriver(target, {
      async connect(given) {
        options = given
        throw new Error('enough')
      },
    })
    await expect(driver.connect()).rejects.toThrow('enough')
    await driver.close()
    return options as NatsConnectOptions
  }

  test.each([
    ['nats://127.0.0.1:4223', { servers: ['127.0.0.1:4223'] }],
    ['localhost', { servers: ['localhost:4222'] }],
    ['nats://a:1, nats://b:2', { servers: ['a:1', 'b:2'] }],
    ['nats://[::1]:4222', { servers: ['[::1]:4222'] }],
    ['nats://ann:p%40ss@a:1', { servers: ['a:1'], user: 'ann', pass: 'p@ss' }],
    ['nats://t0ken@a:1', { servers: ['a:1'], token: 't0ken' }],
    ['tls://a:1', { servers: ['a:1'], tls: {} }],
    [
      { servers: 'nats://a:1', name: 'mine', pingInterval: 7 },
      { servers: ['a:1'], name: 'mine', pingInterval: 7 },
    ],
  ])('%j is taken apart', async (target, expected) => {
    expect(await asked(target)).toMatchObject(expected)
  })

  test('a frozen server is noticed within seconds, and reconnecting never ends', async () => {
    const { pingInterval, maxPingOut, maxReconnectAttempts } = await asked('nats://a')
    expect({ pingInterval, maxPingOut, maxReconnectAttempts }).toEqual({
      pingInterval: 1_000,
      maxPingOut: 2,
      maxReconnectAttempts: -1,
    })
  })

  test('without a library the error names the command that installs one', async () => {
    jest.resetModules()
    for (const name of ['@nats-io/transport-node', 'nats']) {
      jest.doMock(name, () => {
        const message = `Cannot find module '${name}'`
        throw Object.assign(new Error(message), { code: 'MODULE_NOT_FOUND' })
      })
    }
    const fresh = await import('../../../src/drivers/nats.js')
    const driver = fresh.natsDriver('nats://127.0.0.1')
    await expect(driver.connect()).rejects.toThrow('npm install @nats-io/transport-node')
    jest.resetModules()
    jest.dontMock('nats')
    jest.dontMock('@nats-io/transport-node')
  })

  test('a server that takes connections and says nothing costs no more than the time set', async () => {
    const never = () => new Promise<never>(() => undefined)
    const driver = natsDriver('nats://a:1', { connect: never, connectTimeout: 50 })
    const subscribing = driver.subscribe('x', recordingSink())
    await expect(subscribing).rejects.toThrow(/a:1 within 50 ms/)
    await driver.close()
  })

  test('a name that NATS cannot hold never reaches the library', async () => {
    const connect = jest.fn()
    const driver = natsDriver('nats://a:1', { connect, address: (topic) => `all ${topic}` })
    const subscribing = driver.subscribe('x', recordingSink())
    await expect(subscribing).rejects.toMatchObject({
      code: 'ERR_UNIFROST_TOPIC_NAME',
      message: expect.stringContaining('white space'),
    })
    expect(connect).not.toHaveBeenCalled()
  })
})
